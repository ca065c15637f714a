-- A stacked hourglass out of a .t7 file: Torch7's own layers with the file's numbers, put together as the file's graph
-- says. Layers of cudnn are those of nn, with the same numbers; the file may have been saved on a GPU and be used
-- without one. Forms with and without residuals after each hourglass differ in the graph alone.

local t7 = require 't7'

local network = {}

local function refuse(...)
    error({refused = string.format(...)}, 0)
end

-- A whole number of a layer: a size of its window unless more is allowed.
local function number(fields, name, otherwise, most)
    local value = fields[name]
    if value == nil then
        value = otherwise
    end
    if type(value) ~= 'number' or value ~= math.floor(value) or value < 0 or value > (most or 16) then
        refuse('expected %s of a layer as a whole number to %d, got %s', name, most or 16, tostring(value))
    end
    return value
end

local function fill(target, given, what)
    if not torch.isTensor(given) or given:nElement() ~= target:nElement() then
        refuse('expected %d numbers as %s, got %s', target:nElement(), what,
            torch.isTensor(given) and given:nElement() or type(given))
    end
    -- Two-dimensional in the oldest files, in the same order.
    target:copy(given:contiguous():view(-1))
end

local make

local function children(fields, container)
    if type(fields.modules) ~= 'table' then
        refuse('expected the layers of a container, got none')
    end
    for _, module in ipairs(fields.modules) do
        container:add(make(module))
    end
    return container
end

local function convolution(f)
    if (f.groups or 1) ~= 1 then
        refuse('expected convolutions of one group, got %s', tostring(f.groups))
    end
    local pad = f.padding or 0
    local from, to = number(f, 'nInputPlane', nil, 65536), number(f, 'nOutputPlane', nil, 65536)
    local width, height = number(f, 'kW'), number(f, 'kH')
    -- Before room is made for them.
    if not torch.isTensor(f.weight) or f.weight:nElement() ~= from * to * width * height then
        refuse('expected %d weights of a convolution, got %s', from * to * width * height,
            torch.isTensor(f.weight) and f.weight:nElement() or type(f.weight))
    end
    local layer = nn.SpatialConvolution(from, to, width, height, number(f, 'dW'), number(f, 'dH'),
        number(f, 'padW', pad), number(f, 'padH', pad))
    fill(layer.weight, f.weight, 'weights of a convolution')
    fill(layer.bias, f.bias, 'biases of a convolution')
    return layer
end

local function normalisation(f)
    if not torch.isTensor(f.running_mean) or not torch.isTensor(f.weight) then
        refuse('expected statistics and weights of a batch normalisation, got none')
    end
    local layer = nn.SpatialBatchNormalization(f.running_mean:nElement(), f.eps or 1e-5)
    fill(layer.weight, f.weight, 'weights of a batch normalisation')
    fill(layer.bias, f.bias, 'biases of a batch normalisation')
    fill(layer.running_mean, f.running_mean, 'means of a batch normalisation')
    if f.running_var then
        fill(layer.running_var, f.running_var, 'variances of a batch normalisation')
    else
        -- Its first version kept the inverse of the standard deviation.
        fill(layer.running_var, f.running_std, 'deviations of a batch normalisation')
        layer.running_var:pow(-2):add(-layer.eps)
    end
    return layer
end

local LAYERS = {
    Identity = function()
        return nn.Identity()
    end,
    Sequential = function(f)
        return children(f, nn.Sequential())
    end,
    ConcatTable = function(f)
        return children(f, nn.ConcatTable())
    end,
    CAddTable = function(f)
        return nn.CAddTable(f.inplace)
    end,
    ReLU = function(f)
        return nn.ReLU(f.inplace)
    end,
    SpatialConvolution = convolution,
    SpatialConvolutionMM = convolution,
    SpatialBatchNormalization = normalisation,
    SpatialMaxPooling = function(f)
        local pool = nn.SpatialMaxPooling(number(f, 'kW'), number(f, 'kH'), number(f, 'dW'), number(f, 'dH'),
            number(f, 'padW', 0), number(f, 'padH', 0))
        return f.ceil_mode and pool:ceil() or pool
    end,
    SpatialUpSamplingNearest = function(f)
        return nn.SpatialUpSamplingNearest(number(f, 'scale_factor'))
    end,
}

make = function(object)
    local class = type(object) == 'table' and object.class
    local name = class and (class:match('^nn%.(.*)') or class:match('^cudnn%.(.*)'))
    if not name or not LAYERS[name] then
        refuse('expected layers of a stacked hourglass, got %s', tostring(class or type(object)))
    end
    return LAYERS[name](object.fields)
end

-- The graph as a list of steps in their order: {module, sources}, a source being the number of an earlier step.
local function steps_of(graph)
    local steps, place = {}, {}
    if type(graph.forwardnodes) ~= 'table' or #graph.forwardnodes < 3 then
        refuse('expected the graph of a network, got none')
    end
    for i, node in ipairs(graph.forwardnodes) do
        local data = type(node) == 'table' and node.fields and node.fields.data
        if type(data) ~= 'table' or type(data.mapindex) ~= 'table' then
            refuse('expected a node of the graph, got something else')
        end
        local step = {module = data.module and make(data.module), sources = {}}
        for k, source in ipairs(data.mapindex) do
            if not place[source] then
                refuse('expected a graph in the order of its work, got a layer before its input')
            end
            step.sources[k] = place[source]
        end
        if i > 1 and #step.sources == 0 then
            refuse('expected one input of the network, got a second one')
        end
        steps[i], place[data] = step, i
    end
    if steps[1].module or steps[#steps].module then
        refuse('expected a graph from an input to an output, got layers there')
    end
    return steps
end

local Network = {}
Network.__index = Network

-- Read the network of a .t7 file; device is 'cpu' or 'gpu'.
function network.load(path, device)
    local object = t7.read(path)
    if type(object) ~= 'table' or object.class ~= 'nn.gModule' then
        refuse('expected a network (nn.gModule), got %s', tostring(type(object) == 'table' and object.class
            or type(object)))
    end
    local self = setmetatable({steps = steps_of(object.fields), modules = object.fields.modules, device = device},
        Network)
    -- What a convolution unfolds is of use to a backward pass alone: one place serves all.
    local unfolded = torch.FloatTensor()
    for _, step in ipairs(self.steps) do
        if step.module then
            step.module:evaluate()
            for _, layer in ipairs(step.module:findModules('nn.SpatialConvolution')) do
                layer.finput, layer.gradWeight, layer.gradBias = unfolded, nil, nil
            end
            if device == 'gpu' then
                step.module:cuda()
                if cudnn then
                    step.module = cudnn.convert(step.module, cudnn)
                end
            end
        end
    end
    return self
end

-- Heatmaps of the last stack, a torch.FloatTensor N x joints x H/4 x W/4, of pictures N x 3 x H x W in 0 to 1.
function Network:forward(pictures)
    local outputs = {self.device == 'gpu' and pictures:cuda() or pictures}
    for i = 2, #self.steps do
        local step, given = self.steps[i], {}
        for k, source in ipairs(step.sources) do
            given[k] = outputs[source]
        end
        if step.module then
            outputs[i] = step.module:forward(#given == 1 and given[1] or given)
        else
            outputs[i] = given[#given]
        end
    end
    local maps = outputs[#self.steps]
    if not torch.isTensor(maps) or maps:dim() ~= 4 then
        refuse('expected heatmaps from the network, got something else')
    end
    return maps:float()
end

return network
