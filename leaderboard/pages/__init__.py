"""The pages of the site: a file per kind of page, each of which makes files from a `Site`."""
