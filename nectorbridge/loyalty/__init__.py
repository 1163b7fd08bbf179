"""The loyalty ledger: customers, wallets, coupons, and later referrals, reviews, orders and tiers."""
