-- From heatmaps to peaks, in float64 and as posemill's own: the highest pixel, on each axis (not on the border) a quarter
-- of a pixel towards the higher neighbour or to the top of the parabola through both, the height, and the spread of what
-- is above zero around it.

local peaks = {}

-- Pixels to each side of a peak in which its spread is measured.
local REACH = 3

-- MPII's joints with left and right exchanged.
peaks.OTHER_SIDE = {6, 5, 4, 3, 2, 1, 7, 8, 9, 10, 16, 15, 14, 13, 12, 11}

local function backwards(length)
    local order = torch.LongTensor(length)
    for i = 1, length do
        order[i] = length + 1 - i
    end
    return order
end

-- N x C x H x W with left and right of the picture exchanged.
function peaks.mirrored(tensor)
    return tensor:index(4, backwards(tensor:size(4)))
end

-- Mean of heatmaps and of those of the mirrored pictures.
function peaks.averaged(maps, of_mirrored)
    local back = peaks.mirrored(of_mirrored):index(2, torch.LongTensor(peaks.OTHER_SIDE))
    return back:add(maps):div(2)
end

local function spread(map, width, height, x, y)
    local total, square = 0, 0
    for v = math.max(y - REACH, 0), math.min(y + REACH, height - 1) do
        for u = math.max(x - REACH, 0), math.min(x + REACH, width - 1) do
            local weight = map[v * width + u]
            if weight > 0 then
                total = total + weight
                square = square + weight * ((u - x) ^ 2 + (v - y) ^ 2)
            end
        end
    end
    return math.sqrt(total > 0 and square / total / 2 or REACH ^ 2)
end

local function quarter(before, _, after)
    return after > before and 0.25 or after < before and -0.25 or 0
end

local function top(before, at, after)
    local curve = 2 * at - before - after
    return curve > 0 and (after - before) / (2 * curve) or 0
end

-- N x joints x 4 (x, y in heatmap pixels from 0, height, spread) of heatmaps, a torch.FloatTensor N x joints x H x W.
function peaks.find(maps, parabola)
    local step = parabola and top or quarter
    maps = maps:contiguous()
    local n, joints, height, width = maps:size(1), maps:size(2), maps:size(3), maps:size(4)
    local found = torch.FloatTensor(n, joints, 4):zero()
    local all, out = torch.data(maps), torch.data(found)
    for k = 0, n * joints - 1 do
        local map, at = all + k * width * height, 0
        for i = 1, width * height - 1 do
            if map[i] > map[at] then
                at = i
            end
        end
        local x, y = at % width, math.floor(at / width)
        local answer = out + 4 * k
        answer[3] = spread(map, width, height, x, y)
        -- Nothing above zero: the joint is nowhere.
        if map[at] > 0 then
            answer[0], answer[1], answer[2] = x, y, map[at]
            if x > 0 and x < width - 1 and y > 0 and y < height - 1 then
                answer[0] = x + step(map[at - 1], map[at], map[at + 1])
                answer[1] = y + step(map[at - width], map[at], map[at + width])
            end
        end
    end
    return found
end

return peaks
