-- A line for each table with its rows, and one for large objects. Extensions bring tables of their own.
SELECT format('SELECT %L || chr(9) || count(*) FROM %I.%I', nspname || '.' || relname, nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
AND NOT EXISTS (
  SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
)
\gexec
SELECT 'large objects' || chr(9) || count(*) FROM pg_largeobject_metadata;
