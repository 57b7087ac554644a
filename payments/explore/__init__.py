"""Every interleaving of the shipping failover with a hostile world: never two payments kept, and money never stuck.

The world may delay or lose any message, let the payer open and pay whatever was delivered at any moment, answer a close
without effect, lose every notice, break its word and take money for what it had closed, let somebody ask for another
channel or cancel, and crash or stall the process at any step. The decisions are those of ``payments.failover`` and
``payments.group``. Asking is always allowed here, whatever the ladder says, which only adds behaviour.
"""
