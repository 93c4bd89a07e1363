-- Which agent keys had a tunnel, so that revoking one ends what came with it, players included.

ALTER TABLE placements
    ADD COLUMN past_keys text[] NOT NULL DEFAULT '{}',
    ADD COLUMN revoked_keys text[] NOT NULL DEFAULT '{}';
