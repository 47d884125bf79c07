"""Who a record is about, without saying who: identifiers in, subject tokens out."""
