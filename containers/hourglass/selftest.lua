-- What the hourglass image must be able to do before any weights are in it: Torch7's packages that the network is made
-- of load, and a convolution over a picture-shaped tensor has the right size. Run as  th selftest.lua

local wanted = {
    torch = {"DiskFile", "FloatTensor", "load"},
    nn = {"SpatialConvolution", "SpatialBatchNormalization", "SpatialUpSamplingNearest", "ConcatTable", "CAddTable"},
    nngraph = {},
    image = {"load", "scale"},
}

local function fail(message)
    io.stderr:write("hourglass: self-test: " .. message .. "\n")
    os.exit(1)
end

for _, name in ipairs {"torch", "nn", "nngraph", "image"} do
    local loaded, answer = pcall(require, name)
    if not loaded then
        fail("expected the package " .. name .. ", got: " .. tostring(answer):match("[^\n]*"))
    end
    local package = type(answer) == "table" and answer or _G[name] or {}
    for _, part in ipairs(wanted[name]) do
        if package[part] == nil then
            fail("expected " .. name .. "." .. part .. ", got none")
        end
    end
end

local here = debug.getinfo(1, 'S').source:match('^@(.*)/[^/]*$') or '.'
for _, name in ipairs {'bridge', 'network', 'peaks', 'predict', 't7'} do
    local loaded, problem = loadfile(here .. '/' .. name .. '.lua')
    if not loaded then
        fail("expected posemill's Lua, got: " .. tostring(problem))
    end
end

local size = nn.SpatialConvolution(3, 2, 7, 7, 2, 2, 3, 3):forward(torch.FloatTensor(3, 16, 16):zero():double()):size()
if size[1] ~= 2 or size[2] ~= 8 or size[3] ~= 8 then
    fail(("expected a convolution's output of 2 x 8 x 8, got %d x %d x %d"):format(size[1], size[2], size[3]))
end
print("hourglass: torch, nn, nngraph and image load; a convolution has the right size")
