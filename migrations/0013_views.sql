-- Members, and whether each is beyond what the plan has room for: owners come first, then who joined first.
CREATE VIEW seated_members AS
SELECT m.account_id, m.user_id, m.role, m.created_at, m.seq,
    coalesce(p.max_members <= (
        SELECT count(*) FROM members o
        WHERE o.account_id = m.account_id AND (o.role = 'owner', -o.seq) > (m.role = 'owner', -m.seq)), false)
        AS surplus
FROM members m
JOIN accounts a ON a.id = m.account_id
JOIN plans p ON p.id = a.plan_id;

-- Names with what is decided and shown by: their times in seconds of the epoch, where they lead, the port that all
-- relays of the region share (NULL when they share none), and whether the account's plan has own domains.
CREATE VIEW shown_domains AS
SELECT d.seq, d.id, d.account_id, d.tunnel_id, d.hostname, d.state, d.misses,
    floor(extract(epoch FROM d.created_at))::bigint AS created_s,
    floor(extract(epoch FROM d.proven_at))::bigint AS proven_s,
    floor(extract(epoch FROM d.missing_since))::bigint AS missing_since_s,
    floor(extract(epoch FROM d.checked_at))::bigint AS checked_s,
    floor(extract(epoch FROM d.next_check_at))::bigint AS next_check_s,
    t.hostname AS target, plans.own_domains,
    (SELECT CASE WHEN min(substring(r.endpoint FROM '[0-9]+$')) = max(substring(r.endpoint FROM '[0-9]+$'))
        THEN min(substring(r.endpoint FROM '[0-9]+$')) END
    FROM relays r WHERE r.region_id = t.region_id AND r.state IN ('active', 'draining')) AS port
FROM domains d
JOIN tunnels t ON t.id = d.tunnel_id
JOIN accounts a ON a.id = d.account_id
JOIN plans ON plans.id = a.plan_id;
