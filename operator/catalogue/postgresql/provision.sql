\getenv database CLAIM_DATABASE
\getenv username CLAIM_USERNAME
\getenv password CLAIM_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', :'username')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'username')
\gexec
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', :'username', :'password')
\gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'username')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', :'database', :'username')
\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'database')
\gexec
