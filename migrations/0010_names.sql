-- What the name server asks. `path` is the name's labels from the domain down, each with a `!` behind it, so that what is below
-- a name stands together. A query that finds nothing looks at its neighbours alone, however many records a domain has.
ALTER TABLE domain_records ADD COLUMN path TEXT NOT NULL DEFAULT '';

-- Character by character, since the databases have no word in common for turning a name around. `substr(name, 1, 0)` is nothing,
-- sorted as names are.
WITH RECURSIVE walk (id, name, place, label, path) AS (
    SELECT id, name, 1, substr(name, 1, 0), substr(name, 1, 0) FROM domain_records WHERE name <> '@'
    UNION ALL
    SELECT id, name, place + 1,
           CASE WHEN substr(name, place, 1) IN ('.', '') THEN substr(name, 1, 0) ELSE label || substr(name, place, 1) END,
           CASE WHEN substr(name, place, 1) IN ('.', '') THEN label || '!' || path ELSE path END
    FROM walk WHERE place <= length(name) + 1
)
UPDATE domain_records SET path = walk.path FROM walk
WHERE walk.id = domain_records.id AND walk.place = length(walk.name) + 2;

CREATE INDEX domain_records_by_path ON domain_records (domain, path);
