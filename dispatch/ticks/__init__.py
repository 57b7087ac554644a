"""What each planning tick saw and answered: written down as it happens, found again, and planned again."""
