-- Tables of eSignet 1.8.0. What exists stays as it is: running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS esignet;
SET search_path TO esignet;

-- Relying parties.
CREATE TABLE IF NOT EXISTS client_detail (
  id varchar(100) PRIMARY KEY,
  name varchar(600) NOT NULL,
  rp_id varchar(100) NOT NULL,
  logo_uri varchar(2048) NOT NULL,
  redirect_uris varchar(2048) NOT NULL,
  claims varchar(2048) NOT NULL,
  acr_values varchar(1024) NOT NULL,
  public_key varchar(1024) NOT NULL,
  public_key_hash varchar(128) NOT NULL UNIQUE,
  enc_public_key varchar(1024),
  enc_public_key_hash varchar(128),
  enc_public_key_cert varchar(4000),
  grant_types varchar(512) NOT NULL,
  auth_methods varchar(512) NOT NULL,
  status varchar(20) NOT NULL,
  additional_config varchar(2048),
  cr_dtimes timestamp NOT NULL,
  upd_dtimes timestamp
);

-- What people agreed to, now and before.
CREATE TABLE IF NOT EXISTS consent_detail (
  id varchar(36) PRIMARY KEY,
  client_id varchar(256) NOT NULL,
  psu_token varchar(256) NOT NULL,
  claims varchar(2048) NOT NULL,
  authorization_scopes varchar(1024) NOT NULL,
  cr_dtimes timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  expire_dtimes timestamp,
  signature varchar(1024),
  hash varchar(100),
  accepted_claims varchar(1024),
  permitted_scopes varchar(1024),
  UNIQUE (client_id, psu_token)
);
CREATE INDEX IF NOT EXISTS idx_consent_psu_client ON consent_detail (psu_token, client_id);

CREATE TABLE IF NOT EXISTS consent_history (
  id varchar(36) PRIMARY KEY,
  client_id varchar(256) NOT NULL,
  psu_token varchar(256) NOT NULL,
  claims varchar(2048) NOT NULL,
  authorization_scopes varchar(1024) NOT NULL,
  cr_dtimes timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  expire_dtimes timestamp,
  signature varchar(1024),
  hash varchar(100),
  accepted_claims varchar(1024),
  permitted_scopes varchar(1024)
);
CREATE INDEX IF NOT EXISTS idx_consent_history_psu_client ON consent_history (psu_token, client_id);

-- Keys of wallets that are bound to a person.
CREATE TABLE IF NOT EXISTS public_key_registry (
  id_hash varchar(100) NOT NULL,
  auth_factor varchar(25) NOT NULL,
  psu_token varchar(256) NOT NULL,
  public_key varchar(2500) NOT NULL,
  expire_dtimes timestamp NOT NULL,
  wallet_binding_id varchar(256) NOT NULL,
  public_key_hash varchar(100) NOT NULL,
  certificate varchar(4000) NOT NULL,
  cr_dtimes timestamp NOT NULL,
  thumbprint varchar(128) NOT NULL,
  PRIMARY KEY (id_hash, auth_factor)
);

-- Security profiles and the features that each asks of a relying party.
CREATE TABLE IF NOT EXISTS server_profile (
  profile_name varchar(100) NOT NULL,
  feature varchar(100) NOT NULL,
  additional_config_key varchar(200) NOT NULL,
  PRIMARY KEY (profile_name, feature)
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
  certificate_data varchar(4000) NOT NULL,
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
  cert_data varchar(4000),
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

-- How long each master key lives (days), and how long before its end a new one is made.
INSERT INTO key_policy_def (app_id, key_validity_duration, pre_expire_days, access_allowed, is_active, cr_by, cr_dtimes)
SELECT app, days, early, 'NA', TRUE, 'plinth', now()
FROM (VALUES
  ('ROOT', 2920, 1125),
  ('OIDC_SERVICE', 1095, 60),
  ('OIDC_PARTNER', 1095, 60),
  ('BINDING_SERVICE', 1095, 60),
  ('MOCK_BINDING_SERVICE', 1095, 50)
) AS policies (app, days, early)
ON CONFLICT DO NOTHING;

INSERT INTO server_profile (profile_name, feature, additional_config_key)
VALUES
  ('fapi2.0', 'PAR', 'require_pushed_authorization_requests'),
  ('fapi2.0', 'DPOP', 'dpop_bound_access_tokens'),
  ('fapi2.0', 'PKCE', 'require_pkce')
ON CONFLICT DO NOTHING;
