-- Which run of a relay registered last: an operator's word to drain is for that run, and its next one is active again.
ALTER TABLE relays ADD COLUMN run text;
