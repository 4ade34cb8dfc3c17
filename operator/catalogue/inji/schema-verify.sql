-- Tables of schema verify. Running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS verify;
SET search_path TO verify, public;

CREATE TABLE IF NOT EXISTS authorization_request_details(
  request_id varchar(40) NOT NULL,
  transaction_id varchar(40) NOT NULL,
  authorization_details text NOT NULL,
  expires_at bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS presentation_definition(
  id varchar(36) NOT NULL,
  input_descriptors jsonb NOT NULL,
  name varchar(500),
  purpose varchar(500),
  vp_format text,
  submission_requirements text
);

CREATE TABLE IF NOT EXISTS vc_submission(
  transaction_id varchar(40) NOT NULL,
  vc text NOT NULL
);

CREATE TABLE IF NOT EXISTS vp_submission(
  request_id varchar(40) NOT NULL,
  vp_token varchar NULL,
  presentation_submission text NULL,
  error varchar(100) NULL,
  error_description varchar(200) NULL
);
