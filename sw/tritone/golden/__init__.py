# SPDX-License-Identifier: Apache-2.0
"""What the machine computes, in integers: the models that everything else must equal.

``layers`` evaluates a network by definition, ``fast`` the same for whole test sets, ``machine`` a
program from its bytes. They share nothing but ``arithmetic`` and none of them is imported by what
it judges.
"""
