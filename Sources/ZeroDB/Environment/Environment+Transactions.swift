extension Environment {
    /// The transactions that this process has open in the environment.
    ///
    /// - Throws: `badHandle`, `forked`.
    /// - Complexity: O(transactions of the process).
    public func transactions() throws(DatabaseError) -> [OpenTransaction] {
        try whileOpen { Transactions.list(store) }
    }
}
