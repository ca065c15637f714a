-- Find the joints in crops by a stacked hourglass. Run as
--   th predict.lua CROPS PEAKS -weights NETWORK.t7 [-device auto|cpu|gpu] [-heatmaps FILE]
-- CROPS and PEAKS are as bridge.lua says; - is standard input or output. -heatmaps also writes what the peaks were found
-- in, bare float32. Without a GPU, processors are used best with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=<processors>.

local here = debug.getinfo(1, 'S').source:match('^@(.*)/[^/]*$') or '.'
package.path = here .. '/?.lua;' .. package.path

local USAGE = 'th predict.lua CROPS PEAKS -weights NETWORK.t7 [-device auto|cpu|gpu] [-heatmaps FILE]'
local EVERY_S = 10

local function fail(message)
    io.stderr:write('hourglass: ' .. message .. '\n')
    os.exit(1)
end

local function arguments()
    local files, options, i = {}, {device = 'auto'}, 1
    while i <= #arg do
        local name = arg[i]:match('^%-%-?(%a+)$')
        if name then
            if name ~= 'weights' and name ~= 'device' and name ~= 'heatmaps' or not arg[i + 1] then
                fail('expected ' .. USAGE .. ', got ' .. arg[i])
            end
            options[name] = arg[i + 1]
            i = i + 1
        else
            table.insert(files, arg[i])
        end
        i = i + 1
    end
    if #files ~= 2 or not options.weights then
        fail('expected ' .. USAGE)
    end
    if options.device ~= 'auto' and options.device ~= 'cpu' and options.device ~= 'gpu' then
        fail('-device: expected auto, cpu or gpu, got ' .. options.device)
    end
    return files[1], files[2], options
end

-- Torch7's parts for a GPU are there in some images only, and a GPU at some machines.
local function device(wanted)
    if wanted == 'cpu' then
        return 'cpu'
    end
    local there = pcall(require, 'cutorch') and cutorch.getDeviceCount() > 0 and pcall(require, 'cunn')
    if wanted == 'gpu' and not there then
        fail('-device: expected a GPU and cutorch, got none; say -device cpu')
    end
    if there then
        pcall(require, 'cudnn')
    end
    return there and 'gpu' or 'cpu'
end

-- Call; what is wrong with a file ends the run in one line.
local function about(path, call, ...)
    local answer = {pcall(call, ...)}
    if not answer[1] then
        local why = type(answer[2]) == 'table' and answer[2].refused or tostring(answer[2])
        fail(path .. ': ' .. why:gsub('\n.*', ''))
    end
    return unpack(answer, 2, table.maxn(answer))
end

local crops_file, peaks_file, options = arguments()
local loaded, why = pcall(require, 'nn')
if not loaded then
    fail('expected Torch7 with the package nn, got: ' .. tostring(why):gsub('\n.*', ''))
end
torch.setdefaulttensortype('torch.FloatTensor')
local bridge, network, peaks = require 'bridge', require 'network', require 'peaks'

local chosen = device(options.device)
local net = about(options.weights, network.load, options.weights, chosen)
local crops = about(crops_file, bridge.open_crops, crops_file == '-' and '/dev/stdin' or crops_file)
-- What is not whole never has the file's name.
local written = peaks_file == '-' and '/dev/stdout' or peaks_file .. '.part'
local answers = about(peaks_file, bridge.create_peaks, written, crops)
local heatmaps = options.heatmaps and torch.DiskFile(options.heatmaps, 'w'):binary():littleEndianEncoding()

local done, begin = 0, os.time()
local said = begin
local function abandon(message)
    if peaks_file ~= '-' then
        os.remove(written)
    end
    fail(message)
end

local function work()
    while true do
        local tags, pictures = crops:next()
        if not pictures then
            return
        end
        local maps = net:forward(pictures)
        if crops.flip then
            if maps:size(2) ~= #peaks.OTHER_SIDE then
                error({refused = 'expected ' .. #peaks.OTHER_SIDE .. ' joints to flip, got ' .. maps:size(2)}, 0)
            end
            maps = peaks.averaged(maps:clone(), net:forward(peaks.mirrored(pictures)))
        end
        answers:write(tags, peaks.find(maps, crops.parabola), maps)
        if heatmaps then
            -- The tensor may be the part of a larger storage that this chunk needs.
            heatmaps:writeFloat(maps:clone():storage())
        end
        done = done + pictures:size(1)
        if os.time() - said >= EVERY_S then
            said = os.time()
            io.stderr:write(('hourglass: %d crops, %.1f/s, %s\n'):format(done, done / (said - begin), chosen))
        end
    end
end

local fine, problem = pcall(work)
if not fine then
    local why = type(problem) == 'table' and problem.refused or tostring(problem):gsub('\n.*', '')
    abandon(crops_file .. ': ' .. why)
end
answers:close()
if heatmaps then
    heatmaps:close()
end
if peaks_file ~= '-' then
    local renamed, reason = os.rename(written, peaks_file)
    if not renamed then
        abandon(peaks_file .. ': expected to be written, got ' .. tostring(reason))
    end
end
