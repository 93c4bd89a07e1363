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
