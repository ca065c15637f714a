-- Torch7's binary files (.t7), read as data. torch.load would run the Lua functions that a file may hold, and call what
-- a class does when it is read; here nothing of the file is run, and every length is held against what is left of it.
--
-- read(path) returns the file's object: numbers, strings, booleans and tables as they are; tensors as torch.FloatTensor
-- (torch.DoubleTensor stays double); any other torch object as {class = name, version = number, fields = table}.

local t7 = {}

local MOST_DEPTH = 8000
local ELEMENTS = {
    Byte = {'readByte', 1}, Char = {'readChar', 1}, Short = {'readShort', 2}, Int = {'readInt', 4},
    Long = {'readLong', 8}, Float = {'readFloat', 4}, Double = {'readDouble', 8}, Cuda = {'readFloat', 4},
    CudaDouble = {'readDouble', 8}, CudaLong = {'readLong', 8}, CudaInt = {'readInt', 4}, CudaByte = {'readByte', 1},
}

local Reader = {}
Reader.__index = Reader

local function refuse(message)
    error({refused = message}, 0)
end

function Reader:left()
    return self.size - (self.file:position() - 1)
end

function Reader:int()
    return self.file:readInt()
end

-- A number of things of so many bytes each that must still be in the file.
function Reader:count(number, bytes, what)
    if number ~= number or number < 0 or number * bytes > self:left() then
        refuse(('expected %s within the file, got a length of %g at byte %d'):format(
            what, number, self.file:position() - 1))
    end
    return number
end

function Reader:string()
    local length = self:count(self:int(), 1, 'text')
    return length == 0 and '' or self.file:readChar(length):string()
end

function Reader:storage(kind)
    local read, bytes = unpack(ELEMENTS[kind])
    local length = self:count(self.file:readLong(), bytes, 'numbers')
    if length == 0 then
        return torch.FloatStorage()
    end
    return self.file[read](self.file, length)
end

function Reader:tensor(kind)
    local dimensions = self:count(self:int(), 16, 'sizes')
    if dimensions > 16 then
        refuse(('expected at most 16 dimensions, got %d'):format(dimensions))
    end
    local sizes, strides, last, count = {}, {}, 0, 1
    for i = 1, dimensions do
        sizes[i] = self.file:readLong()
    end
    for i = 1, dimensions do
        strides[i] = self.file:readLong()
    end
    local offset = self.file:readLong()
    local storage = self:object(1)
    if dimensions == 0 or storage == nil then
        return torch.FloatTensor()
    end
    if not torch.isStorage(storage) then
        refuse(('expected the numbers of a tensor, got %s'):format(type(storage)))
    end
    for i = 1, dimensions do
        if sizes[i] < 1 or strides[i] < 0 then
            refuse(('expected a tensor of positive sizes, got %d'):format(sizes[i]))
        end
        last, count = last + (sizes[i] - 1) * strides[i], count * sizes[i]
    end
    -- A stride of 0 would let few numbers stand for many.
    if count > storage:size() then
        refuse(('expected a tensor of at most its %d numbers, got one of %g'):format(storage:size(), count))
    end
    if offset < 1 or offset + last > storage:size() then
        refuse(('expected a tensor within its %d numbers, got one that ends at %g'):format(
            storage:size(), offset + last))
    end
    local tensor = torch[torch.typename(storage):match('torch%.(%a+)Storage') .. 'Tensor']()
    tensor:set(storage, offset, torch.LongStorage(sizes), torch.LongStorage(strides))
    return kind:find('Double') and tensor or tensor:float()
end

function Reader:class()
    local name = self:string()
    local version = tonumber(name:match('^V (%d+)$'))
    if version then
        name = self:string()
    end
    -- It may come to stand in a message.
    return (name:sub(1, 80):gsub('[^%w%._ ]', '?')), version or 0
end

function Reader:torch(index, depth)
    local name, version = self:class()
    local kind, form = name:match('^torch%.(%a-)(Tensor)$')
    if not kind then
        kind, form = name:match('^torch%.(%a-)(Storage)$')
    end
    if kind then
        if not ELEMENTS[kind] then
            refuse(('expected numbers of a known type, got %s'):format(name))
        end
        local found = form == 'Tensor' and self:tensor(kind) or self:storage(kind)
        self.objects[index] = found
        return found
    end
    local object = {class = name, version = version}
    self.objects[index] = object
    object.fields = self:object(depth + 1)
    if type(object.fields) ~= 'table' or object.fields.class then
        refuse(('expected the fields of a %s, got something else'):format(name))
    end
    return object
end

function Reader:table(index, depth)
    local size = self:count(self:int(), 8, 'entries')
    local object = {}
    self.objects[index] = object
    for _ = 1, size do
        local key = self:object(depth + 1)
        local value = self:object(depth + 1)
        if key == nil or key ~= key then
            refuse('expected a name or number for each entry of a table, got none')
        end
        object[key] = value
    end
    return object
end

function Reader:object(depth)
    if depth > MOST_DEPTH then
        refuse(('expected objects at most %d deep, got deeper ones'):format(MOST_DEPTH))
    end
    local kind = self:int()
    if kind == 0 then
        return nil
    elseif kind == 1 then
        return self.file:readDouble()
    elseif kind == 2 then
        return self:string()
    elseif kind == 5 then
        return self:int() == 1
    elseif kind == 6 or kind == 7 or kind == 8 then
        refuse('expected a network as data, got a stored Lua function; save the network without functions')
    elseif kind ~= 3 and kind ~= 4 then
        refuse(('expected an object, got type %d at byte %d'):format(kind, self.file:position() - 5))
    end
    local index = self:int()
    local known = self.objects[index]
    if known ~= nil then
        return known
    end
    return kind == 3 and self:table(index, depth) or self:torch(index, depth)
end

-- Read a file; what is wrong with it is an error of the form {refused = one line}.
function t7.read(path)
    local file = torch.DiskFile(path, 'r', true)
    if file == nil then
        refuse('expected a .t7 file, got nothing that can be opened')
    end
    file:binary():littleEndianEncoding()
    file:noAutoSpacing()
    file:seekEnd()
    local reader = setmetatable({file = file, size = file:position() - 1, objects = {}}, Reader)
    file:seek(1)
    local fine, answer = pcall(reader.object, reader, 1)
    file:close()
    if not fine and type(answer) ~= 'table' then
        refuse('expected a whole .t7 file, got one that is cut off or damaged: '
            .. tostring(answer):gsub('\n.*', ''):gsub('^.*:%d+: ', ''))
    elseif not fine then
        error(answer, 0)
    end
    return answer
end

return t7
