-- Load every file that a list names: th load_all.lua LUA_FOLDER LIST; prints a line for each, loaded or why not.
package.path = arg[1] .. '/?.lua;' .. package.path
require 'nn'
torch.setdefaulttensortype('torch.FloatTensor')
local network = require 'network'
for path in io.lines(arg[2]) do
    local fine, answer = pcall(network.load, path, 'cpu')
    local why = fine and 'loaded' or type(answer) == 'table' and 'refused: ' .. answer.refused or 'error: ' .. tostring(answer)
    print((why:gsub('\n.*', '')))
    collectgarbage()
end
