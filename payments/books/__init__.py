"""What becomes true with money: the transactions that book payments, settlements, refunds and withdrawals."""
