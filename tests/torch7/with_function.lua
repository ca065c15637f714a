-- Put a Lua function into a network's file: th with_function.lua NETWORK OUT MARKER; run, it would write MARKER.
require 'nn'
require 'nngraph'
local net, marker = torch.load(arg[1]), arg[3]
net.custom = function()
    local file = io.open(marker, 'w')
    file:write('ran')
    file:close()
end
torch.save(arg[2], net)
