"""One proposal in, one result out."""
