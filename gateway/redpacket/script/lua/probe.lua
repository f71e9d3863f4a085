-- Tells that the bucket is certified for this epoch.
return 'ok|' .. meta[2] .. '|' .. WIN
