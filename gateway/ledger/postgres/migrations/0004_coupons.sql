-- A portal of coupons holds no money; everything else does.

ALTER TABLE redpacket DROP CONSTRAINT redpacket_amount_check,
	ADD CONSTRAINT redpacket_amount_check CHECK (amount > 0 OR (amount = 0 AND mode = 'portal'));
