/// What a put does where its key, or its pair of key and value, is there already.
package enum PutMode {
    /// The value takes the place of the one that is there; among duplicates it joins the others.
    case overwrite
    /// The key must be new.
    case noOverwrite
    /// The key is after all others.
    case append
    /// Among duplicates: the pair must be new.
    case noDuplicate
    /// Among duplicates: the value is after the others of its key.
    case appendValue
}
