-- What access tokens, tickets and assignments are signed with. sealed is the private key, encrypted with
-- SIGNING_KEYS_SECRET under its kid; a row is deleted when nothing it signed counts any more.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('published', 'signing', 'retired')),
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    signs_since timestamptz,
    retired_at timestamptz,
    CHECK ((state = 'published') = (signs_since IS NULL)),
    CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (state) WHERE state = 'published';
CREATE UNIQUE INDEX signing_keys_one_signs ON signing_keys (state) WHERE state = 'signing';

-- The audit log is read newest first: of an account, of everything, by who did it, and by what it was done to.
DROP INDEX audit_log_account;
CREATE INDEX audit_log_account ON audit_log (account_id, at, id);
CREATE INDEX audit_log_at ON audit_log (at, id);
CREATE INDEX audit_log_actor ON audit_log (actor, at, id);
CREATE INDEX audit_log_subject ON audit_log (subject, at, id);
