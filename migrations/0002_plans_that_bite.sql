-- The plans as they are sold, exceptions for single accounts, and why a tunnel is suspended.

ALTER TABLE plans
    ADD COLUMN bytes_per_month bigint CHECK (bytes_per_month > 0),
    ADD COLUMN own_domains boolean NOT NULL DEFAULT false,
    ADD COLUMN priority boolean NOT NULL DEFAULT false,
    ADD COLUMN max_members integer CHECK (max_members > 0),
    ADD COLUMN stripe_price text CONSTRAINT plans_stripe_price_key UNIQUE;

UPDATE plans SET
    max_tunnels = sold.max_tunnels, max_players = sold.max_players, bytes_per_s = sold.bytes_per_s,
    bytes_per_month = sold.bytes_per_month, idle_timeout_s = sold.idle_timeout_s,
    chosen_names = sold.chosen_names, own_domains = sold.own_domains, priority = sold.priority,
    max_members = sold.max_members
FROM (VALUES
    ('free', 1, 10, 2500000, 50000000000, 1800, false, false, false, 1),
    ('plus', 5, 60, 12500000, 1000000000000, NULL, true, true, true, 1),
    ('team', 25, 250, 62500000, 5000000000000, NULL, true, true, true, NULL),
    ('unlimited', NULL, NULL, NULL, NULL, NULL, true, true, true, NULL)
) AS sold (
    id, max_tunnels, max_players, bytes_per_s, bytes_per_month, idle_timeout_s, chosen_names, own_domains,
    priority, max_members)
WHERE plans.id = sold.id;

-- What one account has instead of its plan's numbers: NULL is the plan's, -1 is no limit.
CREATE TABLE account_limits (
    account_id text PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    max_tunnels integer CHECK (max_tunnels >= -1),
    max_players integer CHECK (max_players >= -1),
    bytes_per_s bigint CHECK (bytes_per_s = -1 OR bytes_per_s > 0),
    idle_timeout_s integer CHECK (idle_timeout_s = -1 OR idle_timeout_s > 0),
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX accounts_plan ON accounts (plan_id);

-- surplus: the account's limits allow fewer tunnels; it comes back by itself. operator: somebody decided so.
ALTER TABLE tunnels ADD COLUMN suspended_reason text CHECK (suspended_reason IN ('surplus', 'operator'));
UPDATE tunnels SET suspended_reason = 'operator' WHERE state = 'suspended';
ALTER TABLE tunnels
    ADD CONSTRAINT tunnels_suspended_check CHECK ((state = 'suspended') = (suspended_reason IS NOT NULL));
