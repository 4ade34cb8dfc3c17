-- Tables of schema mimoto. Running it again changes nothing.
CREATE SCHEMA IF NOT EXISTS mimoto;
SET search_path TO mimoto, public;

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

CREATE TABLE IF NOT EXISTS user_metadata (
  id varchar(36) PRIMARY KEY,
  provider_subject_id varchar(255) NOT NULL,
  identity_provider varchar(255) NOT NULL,
  display_name TEXT NOT NULL,
  profile_picture_url TEXT,
  phone_number TEXT,
  email TEXT NOT NULL,
  created_at TIMESTAMP DEFAULT now(),
  updated_at TIMESTAMP DEFAULT now()
);

CREATE TABLE IF NOT EXISTS wallet (
  id varchar(36) PRIMARY KEY,
  user_id varchar(36) NOT NULL,
  wallet_key TEXT NOT NULL,
  wallet_metadata JSONB NOT NULL,
  created_at TIMESTAMP DEFAULT now(),
  updated_at TIMESTAMP DEFAULT now(),
  CONSTRAINT fk_user_id FOREIGN KEY (user_id) REFERENCES user_metadata (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS proof_signing_key (
  id varchar(36) PRIMARY KEY,
  wallet_id varchar(36) NOT NULL,
  public_key TEXT NOT NULL,
  secret_key TEXT NOT NULL,
  key_metadata JSONB NOT NULL,
  created_at TIMESTAMP DEFAULT now(),
  updated_at TIMESTAMP DEFAULT now(),
  CONSTRAINT fk_wallet_id FOREIGN KEY (wallet_id) REFERENCES wallet (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS verifiable_credentials (
  id varchar(36) PRIMARY KEY,
  wallet_id varchar(36) NOT NULL,
  credential TEXT NOT NULL,
  credential_metadata JSONB NOT NULL,
  created_at TIMESTAMP DEFAULT now(),
  updated_at TIMESTAMP DEFAULT now(),
  CONSTRAINT fk_wallet_id FOREIGN KEY (wallet_id) REFERENCES wallet (id) ON DELETE CASCADE
);

INSERT INTO key_policy_def (app_id, key_validity_duration, pre_expire_days, access_allowed, is_active, cr_by, cr_dtimes)
VALUES
  ('ROOT', 2920, 1125, 'NA', true, 'plinth', now()),
  ('MIMOTO', 1095, 60, 'NA', true, 'plinth', now()),
  ('BASE', 730, 60, 'NA', true, 'plinth', now())
ON CONFLICT (app_id) DO NOTHING;
