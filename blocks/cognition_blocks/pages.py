"""What the Prefect UI links to and shows beside our blocks; a browser loads it, so no file of ours can serve."""

from pydantic import HttpUrl

# This project has no public address yet: hence Prefect's page about blocks, and of its pictures for blocks the one of a
# call to another server. The others are a vendor's brand or mean files and secrets.
DOCUMENTATION = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
LOGO = HttpUrl(
    "https://raw.githubusercontent.com/PrefectHQ/prefect/"
    "420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/webhook.png"
)
