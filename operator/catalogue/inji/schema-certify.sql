-- Tables of schema certify. Running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS certify;
SET search_path TO certify, public;

CREATE TABLE IF NOT EXISTS key_alias(
  id varchar(36) NOT NULL,
  app_id varchar(36) NOT NULL,
  ref_id varchar(128),
  key_gen_dtimes timestamp,
  key_expire_dtimes timestamp,
  status_code varchar(36),
  lang_code varchar(3),
  cr_by varchar(256) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_deleted boolean DEFAULT FALSE,
  del_dtimes timestamp,
  cert_thumbprint varchar(100),
  uni_ident varchar(50),
  CONSTRAINT pk_keymals_id PRIMARY KEY (id),
  CONSTRAINT uni_ident_const UNIQUE (uni_ident)
);

CREATE TABLE IF NOT EXISTS key_policy_def(
  app_id varchar(36) NOT NULL,
  key_validity_duration smallint,
  is_active boolean NOT NULL,
  pre_expire_days smallint,
  access_allowed varchar(1024),
  cr_by varchar(256) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_deleted boolean DEFAULT FALSE,
  del_dtimes timestamp,
  CONSTRAINT pk_keypdef_id PRIMARY KEY (app_id)
);

CREATE TABLE IF NOT EXISTS key_store(
  id varchar(36) NOT NULL,
  master_key varchar(36) NOT NULL,
  private_key varchar(2500) NOT NULL,
  certificate_data varchar NOT NULL,
  cr_by varchar(256) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_deleted boolean DEFAULT FALSE,
  del_dtimes timestamp,
  CONSTRAINT pk_keystr_id PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS ca_cert_store(
  cert_id varchar(36) NOT NULL,
  cert_subject varchar(500) NOT NULL,
  cert_issuer varchar(500) NOT NULL,
  issuer_id varchar(36) NOT NULL,
  cert_not_before timestamp,
  cert_not_after timestamp,
  crl_uri varchar(120),
  cert_data varchar,
  cert_thumbprint varchar(100),
  cert_serial_no varchar(50),
  partner_domain varchar(36),
  cr_by varchar(256),
  cr_dtimes timestamp,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_deleted boolean DEFAULT FALSE,
  del_dtimes timestamp,
  ca_cert_type varchar(25),
  CONSTRAINT pk_cacs_id PRIMARY KEY (cert_id),
  CONSTRAINT cert_thumbprint_unique UNIQUE (cert_thumbprint,partner_domain)
);

CREATE TABLE IF NOT EXISTS rendering_template (
  id varchar(128) NOT NULL,
  template varchar NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_dtimes timestamp,
  CONSTRAINT pk_rendertmp_id PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS credential_config (
  credential_config_key_id varchar(2048) NOT NULL UNIQUE,
  config_id varchar(255) NOT NULL,
  status varchar(255),
  vc_template varchar,
  doctype varchar,
  sd_jwt_vct varchar,
  context varchar,
  credential_type varchar,
  credential_format varchar(255) NOT NULL,
  did_url varchar,
  key_manager_app_id varchar(36),
  key_manager_ref_id varchar(128),
  signature_algo varchar(36),
  signature_crypto_suite varchar(128),
  sd_claim varchar,
  display JSONB NOT NULL,
  display_order TEXT[] NOT NULL,
  scope varchar(255) NOT NULL,
  cryptographic_binding_methods_supported TEXT[] NOT NULL,
  credential_signing_alg_values_supported TEXT[] NOT NULL,
  proof_types_supported JSONB NOT NULL,
  credential_subject JSONB,
  mso_mdoc_claims JSONB,
  sd_jwt_claims JSONB,
  plugin_configurations JSONB,
  credential_status_purpose TEXT[],
  qr_settings JSONB,
  qr_signature_algo TEXT,
  cr_dtimes TIMESTAMP NOT NULL,
  upd_dtimes TIMESTAMP,
  CONSTRAINT pk_config_id PRIMARY KEY (config_id)
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_credential_config_type_context_unique
ON credential_config(credential_type, context, credential_format)
WHERE credential_type IS NOT NULL AND credential_type <> ''
AND context IS NOT NULL AND context <> '';
CREATE UNIQUE INDEX IF NOT EXISTS idx_credential_config_sd_jwt_vct_unique
ON credential_config(sd_jwt_vct, credential_format)
WHERE sd_jwt_vct IS NOT NULL and sd_jwt_vct <> '';
CREATE UNIQUE INDEX IF NOT EXISTS idx_credential_config_doctype_unique
ON credential_config(doctype, credential_format)
WHERE doctype IS NOT NULL and doctype <> '';

SELECT 'CREATE TYPE credential_status_enum AS ENUM (''AVAILABLE'', ''FULL'')'
WHERE to_regtype('credential_status_enum') IS NULL
\gexec
CREATE TABLE IF NOT EXISTS status_list_credential (
  id varchar(255) PRIMARY KEY,
  vc_document varchar NOT NULL,
  credential_type varchar(100) NOT NULL,
  status_purpose varchar(100),
  capacity_in_kb BIGINT,
  credential_status credential_status_enum,
  cr_dtimes timestamp NOT NULL default now(),
  upd_dtimes timestamp
);
CREATE INDEX IF NOT EXISTS idx_slc_status_purpose ON status_list_credential(status_purpose);
CREATE INDEX IF NOT EXISTS idx_slc_credential_type ON status_list_credential(credential_type);
CREATE INDEX IF NOT EXISTS idx_slc_credential_status ON status_list_credential(credential_status);
CREATE INDEX IF NOT EXISTS idx_slc_cr_dtimes ON status_list_credential(cr_dtimes);

CREATE TABLE IF NOT EXISTS ledger (
  id SERIAL PRIMARY KEY,
  credential_id varchar(255),
  issuer_id varchar(255) NOT NULL,
  issuance_date TIMESTAMP NOT NULL,
  expiration_date TIMESTAMP,
  credential_type varchar(100) NOT NULL,
  indexed_attributes JSONB,
  credential_status_details JSONB NOT NULL DEFAULT '[]'::jsonb,
  cr_dtimes TIMESTAMP NOT NULL DEFAULT NOW(),
  CONSTRAINT uq_ledger_tracked_credential_id UNIQUE (credential_id),
  CONSTRAINT ensure_credential_status_details_is_array CHECK (jsonb_typeof(credential_status_details) = 'array')
);
CREATE INDEX IF NOT EXISTS idx_ledger_credential_id ON ledger(credential_id);
CREATE INDEX IF NOT EXISTS idx_ledger_issuer_id ON ledger(issuer_id);
CREATE INDEX IF NOT EXISTS idx_ledger_credential_type ON ledger(credential_type);
CREATE INDEX IF NOT EXISTS idx_ledger_issue_date ON ledger(issuance_date);
CREATE INDEX IF NOT EXISTS idx_ledger_expiration_date ON ledger(expiration_date);
CREATE INDEX IF NOT EXISTS idx_ledger_cr_dtimes ON ledger(cr_dtimes);
CREATE INDEX IF NOT EXISTS idx_gin_ledger_indexed_attrs ON ledger USING GIN (indexed_attributes);
CREATE INDEX IF NOT EXISTS idx_gin_ledger_status_details ON ledger USING GIN (credential_status_details);

CREATE TABLE IF NOT EXISTS credential_status_transaction (
  transaction_log_id SERIAL PRIMARY KEY,
  credential_id varchar(255),
  status_purpose varchar(100),
  status_value boolean,
  status_list_credential_id varchar(255),
  status_list_index BIGINT,
  cr_dtimes TIMESTAMP NOT NULL DEFAULT NOW(),
  processed_dtimes TIMESTAMP,
  is_processed BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX IF NOT EXISTS idx_cst_is_processed_created ON credential_status_transaction (is_processed, cr_dtimes);

CREATE TABLE IF NOT EXISTS status_list_available_indices (
  id SERIAL PRIMARY KEY,
  status_list_credential_id varchar(255) NOT NULL,
  list_index BIGINT NOT NULL,
  is_assigned BOOLEAN NOT NULL DEFAULT FALSE,
  cr_dtimes TIMESTAMP NOT NULL DEFAULT NOW(),
  upd_dtimes TIMESTAMP,
  CONSTRAINT fk_status_list_credential
  FOREIGN KEY(status_list_credential_id)
  REFERENCES status_list_credential(id)
  ON DELETE CASCADE
  ON UPDATE CASCADE,
  CONSTRAINT uq_list_id_and_index
  UNIQUE (status_list_credential_id, list_index)
);
CREATE INDEX IF NOT EXISTS idx_sla_available_indices
  ON status_list_available_indices (status_list_credential_id, is_assigned, list_index)
  WHERE is_assigned = FALSE;
CREATE INDEX IF NOT EXISTS idx_sla_status_list_credential_id ON status_list_available_indices(status_list_credential_id);
CREATE INDEX IF NOT EXISTS idx_sla_is_assigned ON status_list_available_indices(is_assigned);
CREATE INDEX IF NOT EXISTS idx_sla_list_index ON status_list_available_indices(list_index);
CREATE INDEX IF NOT EXISTS idx_sla_cr_dtimes ON status_list_available_indices(cr_dtimes);

CREATE TABLE IF NOT EXISTS shedlock (
  name varchar(64),
  lock_until TIMESTAMPTZ(3) NOT NULL,
  locked_at TIMESTAMPTZ(3) NOT NULL,
  locked_by varchar(255) NOT NULL,
  PRIMARY KEY (name)
);

CREATE TABLE IF NOT EXISTS iar_session (
  id SERIAL PRIMARY KEY,
  auth_session varchar(128) NOT NULL UNIQUE,
  transaction_id varchar(64) NOT NULL,
  request_id varchar(64),
  verify_nonce varchar(64),
  expires_at TIMESTAMP,
  client_id varchar(128),
  scope varchar(128),
  authorization_code varchar(128) UNIQUE,
  response_uri varchar(512),
  code_challenge varchar(128),
  code_challenge_method varchar(10),
  code_issued_at TIMESTAMP,
  is_code_used BOOLEAN NOT NULL DEFAULT FALSE,
  code_used_at TIMESTAMP,
  cr_dtimes TIMESTAMP NOT NULL DEFAULT NOW(),
  identity_data TEXT
);
CREATE INDEX IF NOT EXISTS idx_iar_session_auth_session ON iar_session(auth_session);
CREATE INDEX IF NOT EXISTS idx_iar_session_authorization_code ON iar_session(authorization_code);
CREATE INDEX IF NOT EXISTS idx_iar_session_request_id ON iar_session(request_id);
CREATE INDEX IF NOT EXISTS idx_iar_session_expires_at ON iar_session(expires_at);
CREATE INDEX IF NOT EXISTS idx_iar_session_authorization_code_used ON iar_session(authorization_code, is_code_used) WHERE authorization_code IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_iar_session_scope ON iar_session(scope);
CREATE INDEX IF NOT EXISTS idx_iar_session_transaction_id ON iar_session(transaction_id);

INSERT INTO key_policy_def (app_id, key_validity_duration, pre_expire_days, access_allowed, is_active, cr_by, cr_dtimes)
VALUES
  ('ROOT', 2920, 1125, 'NA', true, 'plinth', now()),
  ('CERTIFY_SERVICE', 1095, 60, 'NA', true, 'plinth', now()),
  ('CERTIFY_PARTNER', 1095, 60, 'NA', true, 'plinth', now()),
  ('CERTIFY_VC_SIGN_RSA', 1095, 60, 'NA', true, 'plinth', now()),
  ('BASE', 730, 60, 'NA', true, 'plinth', now()),
  ('CERTIFY_VC_SIGN_ED25519', 1095, 60, 'NA', true, 'plinth', now()),
  ('CERTIFY_VC_SIGN_EC_K1', 1095, 60, 'NA', true, 'plinth', now()),
  ('CERTIFY_VC_SIGN_EC_R1', 1095, 60, 'NA', true, 'plinth', now())
ON CONFLICT (app_id) DO NOTHING;
