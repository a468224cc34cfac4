# SPDX-License-Identifier: Apache-2.0
"""The command line: what a person types, and the tables and pictures that come back.

A command imports what it works with when it runs, so that each needs only its own extra.
"""
