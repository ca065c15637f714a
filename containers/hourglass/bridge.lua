-- The plain files between posemill and Torch7, little-endian.
--
-- Crops:  'pmcrops1', six int32 (bytes of a tag, channels, height, width, kind: 0 bytes of 0 to 255, 1 float32 of 0 to
--         1, flags: 1 to average with the mirrored pictures + 2 for peaks at the top of a parabola), then chunks:
--         int32 n, n tags, n pictures (channels x height x width, RGB).
-- Peaks:  'pmpeaks1', six int32 (bytes of a tag, joints, 4, height and width of the heatmaps, 0), then chunks:
--         int32 n, n tags as they came, n x joints x 4 float32 (x, y, score, spread in heatmap pixels).
-- A chunk of n = 0 is the end of either; without it a file is not whole. A chunk is what the network is given at once.

local bridge = {}

local MOST_AT_ONCE, MOST_SIDE, MOST_TAG = 1024, 4096, 4096

local function refuse(...)
    error({refused = string.format(...)}, 0)
end

local function within(value, low, high, what)
    if value < low or value > high then
        refuse('%s: expected %d to %d, got %d', what, low, high, value)
    end
    return value
end

local Crops = {}
Crops.__index = Crops

function bridge.open_crops(path)
    local file = torch.DiskFile(path, 'r', true)
    if file == nil then
        refuse('expected a file of crops, got nothing that can be opened')
    end
    file:binary():littleEndianEncoding()
    file:quiet()
    local magic = file:readChar(8)
    if file:hasError() or magic:string() ~= 'pmcrops1' then
        refuse('expected crops of posemill (pmcrops1), got another file')
    end
    local head = file:readInt(6)
    if file:hasError() then
        refuse('expected a header of 32 bytes, got fewer')
    end
    local flags = within(head[6], 0, 3, 'flags')
    return setmetatable({
        file = file,
        tag = within(head[1], 0, MOST_TAG, 'bytes of a tag'),
        channels = within(head[2], 3, 3, 'channels'),
        height = within(head[3], 1, MOST_SIDE, 'height'),
        width = within(head[4], 1, MOST_SIDE, 'width'),
        kind = within(head[5], 0, 1, 'kind of pixels'),
        flip = flags % 2 == 1,
        parabola = flags >= 2,
    }, Crops)
end

-- The next chunk: tags (torch.ByteStorage or nil) and pictures (torch.FloatTensor n x 3 x H x W); nil at the end.
function Crops:next()
    local n = self.file:readInt()
    if self.file:hasError() then
        refuse('expected a mark at the end of the crops, got none: the file is not whole')
    end
    if within(n, 0, MOST_AT_ONCE, 'crops in a chunk') == 0 then
        return nil
    end
    local tags = self.tag > 0 and self.file:readByte(n * self.tag) or nil
    local count = n * self.channels * self.height * self.width
    local pixels = self.kind == 0 and self.file:readByte(count) or self.file:readFloat(count)
    if self.file:hasError() or pixels:size() ~= count then
        refuse('expected %d whole crops, got fewer', n)
    end
    local pictures = self.kind == 0 and torch.ByteTensor(pixels):float():div(255) or torch.FloatTensor(pixels)
    return tags, pictures:view(n, self.channels, self.height, self.width)
end

local Peaks = {}
Peaks.__index = Peaks

function bridge.create_peaks(path, crops)
    local file = torch.DiskFile(path, 'w', true)
    if file == nil then
        refuse('expected a place to write peaks to, got none that can be written')
    end
    file:binary():littleEndianEncoding()
    return setmetatable({file = file, tag = crops.tag}, Peaks)
end

-- Write one chunk; maps are the heatmaps that the peaks (n x joints x 4) were found in.
function Peaks:write(tags, found, maps)
    if not self.begun then
        self.begun = true
        self.file:writeChar(torch.CharStorage():string('pmpeaks1'))
        local head = {self.tag, found:size(2), found:size(3), maps:size(3), maps:size(4), 0}
        self.file:writeInt(torch.IntStorage(head))
    end
    self.file:writeInt(found:size(1))
    if tags then
        self.file:writeByte(tags)
    end
    self.file:writeFloat(found:contiguous():storage())
    self.file:synchronize()
end

function Peaks:close()
    if not self.begun then
        self.file:writeChar(torch.CharStorage():string('pmpeaks1'))
        self.file:writeInt(torch.IntStorage({self.tag, 0, 4, 0, 0, 0}))
    end
    self.file:writeInt(0)
    self.file:close()
end

return bridge
