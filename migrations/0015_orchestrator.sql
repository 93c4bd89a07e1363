-- Tunnels of a plan go when no agent had them for so many days; NULL is never. Owners hear of it 14 days before.
ALTER TABLE plans ADD unused_after_days integer CHECK (unused_after_days >= 15);
UPDATE plans SET unused_after_days = 90 WHERE id = 'free';

ALTER TABLE tunnels
    -- When an agent had a link for it, to the day.
    ADD last_linked_at timestamptz,
    -- When owners were told that it goes; counts until it is used again.
    ADD expiry_told_at timestamptz;

ALTER TABLE placements
    -- The first generation of the present session: what relays report of links since then is about its agent.
    ADD first_generation bigint NOT NULL DEFAULT 1,
    -- As linked_at, of the standby's link.
    ADD standby_linked_at timestamptz;
UPDATE placements SET first_generation = generation;
CREATE INDEX placements_standby ON placements (standby_relay_id) WHERE standby_relay_id IS NOT NULL;
-- Agents that have a link but no second relay.
CREATE INDEX placements_alone ON placements (region_id)
    WHERE standby_relay_id IS NULL AND linked_at IS NOT NULL;

ALTER TABLE relays
    -- Since when it is in this state.
    ADD state_since timestamptz NOT NULL DEFAULT now();
