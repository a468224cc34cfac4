# SPDX-License-Identifier: Apache-2.0
"""What belongs to devices and boards rather than to the machine."""
