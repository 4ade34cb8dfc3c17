-- Health of Plinth's kinds, from the conditions that kstatus reads: Ready, Reconciling, Stalled.
local hs = { status = "Progressing", message = "waits for Plinth" }
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "the newest spec has not been looked at yet"
  return hs
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local ready, stalled = found["Ready"], found["Stalled"]
if obj.spec ~= nil and obj.spec.paused == true then
  hs.status = "Suspended"
  hs.message = "paused"
elseif stalled ~= nil and stalled.status == "True" then
  hs.status = stalled.reason == "AwaitingApproval" and "Suspended" or "Degraded"
  hs.message = stalled.message
elseif ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
  hs.message = ready.message
elseif ready ~= nil and ready.status == "Unknown" then
  hs.status = "Unknown"
  hs.message = ready.message
elseif ready ~= nil then
  hs.message = ready.message
end
return hs
