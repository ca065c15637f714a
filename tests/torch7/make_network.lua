-- A small stacked hourglass as Torch7 itself makes and saves one, with a picture and its heatmaps. Run as
--   th make_network.lua OUT STACKS FEATURES STEM MODULES released|head [SIDE [whole|old]]
-- writes OUT.t7, OUT.input.f32 (1 x 3 x SIDE x SIDE) and OUT.heatmaps.f32 (STACKS x 16 x SIDE/4 x SIDE/4), little-endian.
-- whole keeps the gradients; old saves batch normalisation as files of early 2016 have it.

require 'nn'
require 'nngraph'

local out, form = arg[1], arg[6]
local stacks, features, stem, modules = tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4]), tonumber(arg[5])
local side = tonumber(arg[7] or 64)
local JOINTS = 16
torch.setdefaulttensortype('torch.FloatTensor')
torch.manualSeed(stacks * 1000 + features * 10 + (form == 'head' and 1 or 0))

local conv, bn, relu = nn.SpatialConvolution, nn.SpatialBatchNormalization, nn.ReLU

local function residual(from, to)
    local half = to / 2
    local body = nn.Sequential()
        :add(bn(from)):add(relu(true)):add(conv(from, half, 1, 1))
        :add(bn(half)):add(relu(true)):add(conv(half, half, 3, 3, 1, 1, 1, 1))
        :add(bn(half)):add(relu(true)):add(conv(half, to, 1, 1))
    local skip = from == to and nn.Identity() or nn.Sequential():add(conv(from, to, 1, 1))
    return nn.Sequential():add(nn.ConcatTable():add(body):add(skip)):add(nn.CAddTable(true))
end

local function residuals(node, count)
    for _ = 1, count do
        node = residual(features, features)(node)
    end
    return node
end

local function hourglass(depth, node)
    local skip = residuals(node, modules)
    local low = residuals(nn.SpatialMaxPooling(2, 2, 2, 2)(node), modules)
    low = depth > 1 and hourglass(depth - 1, low) or residuals(low, modules)
    low = residuals(low, modules)
    return nn.CAddTable()({skip, nn.SpatialUpSamplingNearest(2)(low)})
end

local input = nn.Identity()()
local node = relu(true)(bn(stem)(conv(3, stem, 7, 7, 2, 2, 3, 3)(input)))
node = nn.SpatialMaxPooling(2, 2, 2, 2)(residual(stem, 2 * stem)(node))
node = residual(2 * stem, features)(residual(2 * stem, 2 * stem)(node))
local outputs = {}
for i = 1, stacks do
    local lin = hourglass(4, node)
    if form == 'head' then
        lin = residuals(lin, modules)
    end
    for _ = 1, form == 'head' and 1 or modules do
        lin = relu(true)(bn(features)(conv(features, features, 1, 1)(lin)))
    end
    local maps = conv(features, JOINTS, 1, 1)(lin)
    table.insert(outputs, maps)
    if i < stacks then
        node = nn.CAddTable()({node, conv(features, features, 1, 1)(lin), conv(JOINTS, features, 1, 1)(maps)})
    end
end
local net = nn.gModule({input}, outputs)

-- Statistics as of a trained network, no two alike.
for _, module in ipairs(net:findModules('nn.SpatialBatchNormalization')) do
    module.running_mean:normal(0, 0.1)
    module.running_var:uniform(0.5, 1.5)
    module.weight:uniform(0.5, 1.5)
    module.bias:normal(0, 0.1)
end
net:evaluate()

local function write(name, tensor)
    local file = torch.DiskFile(name, 'w'):binary():littleEndianEncoding()
    file:writeFloat(tensor:contiguous():storage())
    file:close()
end

local picture = torch.FloatTensor(1, 3, side, side):uniform(0, 1)
local answers = net:forward(picture)
answers = stacks == 1 and {answers} or answers
local all = torch.FloatTensor(stacks, JOINTS, side / 4, side / 4)
for i = 1, stacks do
    all[i]:copy(answers[i][1])
end
write(out .. '.input.f32', picture)
write(out .. '.heatmaps.f32', all)
net:clearState()
-- Gradients are as large as the weights, and nothing of a forward pass needs them.
local function bare(module)
    module.gradWeight, module.gradBias = nil, nil
    for _, inner in ipairs(module.modules or {}) do
        bare(inner)
    end
end
if arg[8] ~= 'whole' then
    bare(net)
end
if arg[8] == 'old' then
    -- Until its second version, batch normalisation kept the inverse of the standard deviation.
    nn.BatchNormalization.__version, nn.SpatialBatchNormalization.__version = 1, 1
    for _, module in ipairs(net:findModules('nn.SpatialBatchNormalization')) do
        module.running_std = (module.running_var + module.eps):pow(-0.5)
        module.running_var = nil
    end
end
torch.save(out .. '.t7', net)
local weights = 0
for _, kind in ipairs {'nn.SpatialConvolution', 'nn.SpatialBatchNormalization'} do
    for _, module in ipairs(net:findModules(kind)) do
        weights = weights + module.weight:nElement() + module.bias:nElement()
    end
end
print(('%d modules, %d weights, heatmaps %g to %g'):format(#net.modules, weights, all:min(), all:max()))
