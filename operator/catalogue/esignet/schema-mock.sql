-- Tables of the mock identity system 0.13.0. What exists stays as it is: running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS mockidentitysystem;
SET search_path TO mockidentitysystem;

-- Invented people, and what was verified about them.
CREATE TABLE IF NOT EXISTS mock_identity (
  individual_id varchar(36) PRIMARY KEY,
  identity_json varchar NOT NULL
);

CREATE TABLE IF NOT EXISTS verified_claim (
  id varchar(100) PRIMARY KEY,
  individual_id varchar(36) NOT NULL,
  claim varchar NOT NULL,
  trust_framework varchar NOT NULL,
  detail varchar,
  cr_by varchar(256) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_active boolean DEFAULT TRUE
);

-- Authentications in progress. The product has no key here.
CREATE TABLE IF NOT EXISTS kyc_auth (
  kyc_token varchar(255),
  individual_id varchar(255),
  partner_specific_user_token varchar(255),
  response_time timestamp,
  transaction_id varchar(255),
  validity integer
);

CREATE TABLE IF NOT EXISTS partner_data (
  partner_id varchar(100) NOT NULL,
  client_id varchar(100) NOT NULL,
  public_key text,
  status varchar(50),
  cr_dtimes timestamp NOT NULL,
  PRIMARY KEY (partner_id, client_id)
);

-- The key manager's own tables.
CREATE TABLE IF NOT EXISTS key_alias (
  id varchar(36) PRIMARY KEY,
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
  uni_ident varchar(50) UNIQUE
);

CREATE TABLE IF NOT EXISTS key_store (
  id varchar(36) PRIMARY KEY,
  master_key varchar(36) NOT NULL,
  private_key varchar(2500) NOT NULL,
  certificate_data varchar NOT NULL,
  cr_by varchar(256) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_deleted boolean DEFAULT FALSE,
  del_dtimes timestamp
);

CREATE TABLE IF NOT EXISTS key_policy_def (
  app_id varchar(36) PRIMARY KEY,
  key_validity_duration smallint,
  is_active boolean NOT NULL,
  pre_expire_days smallint,
  access_allowed varchar(1024),
  cr_by varchar(256) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  upd_by varchar(256),
  upd_dtimes timestamp,
  is_deleted boolean DEFAULT FALSE,
  del_dtimes timestamp
);

CREATE TABLE IF NOT EXISTS ca_cert_store (
  cert_id varchar(36) PRIMARY KEY,
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
  UNIQUE (cert_thumbprint, partner_domain)
);

INSERT INTO key_policy_def (app_id, key_validity_duration, pre_expire_days, access_allowed, is_active, cr_by, cr_dtimes)
SELECT app, days, early, 'NA', TRUE, 'plinth', now()
FROM (VALUES
  ('ROOT', 2920, 1125),
  ('MOCK_AUTHENTICATION_SERVICE', 1095, 60)
) AS policies (app, days, early)
ON CONFLICT DO NOTHING;
