"""What guards money: risk with its reviews, one-time codes, and the vault."""
