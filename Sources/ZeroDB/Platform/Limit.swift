/// What is limited. An error that comes of a limit names it, and each environment counts how often its
/// programs have met each of them. `Limits` has the numbers.
public enum Limit: Int, Sendable, CaseIterable {
    /// Bytes of the data file.
    case maxSize = 0
    /// Pages of trees that a transaction dirties.
    case transactionPages
    /// Bytes that a transaction keeps in memory. Beyond, it goes on in a file.
    case transactionMemory
    /// Slots of the reader table.
    case readers
    /// Processes with one environment open.
    case processes
    /// Transactions open in a process.
    case transactions
    /// Cursors open in a process.
    case cursors
    /// Environments open in a process.
    case environments
    /// Transactions nested in one another.
    case nesting
    /// Bytes of a key.
    case keySize
    /// Bytes of a value.
    case valueSize
    /// Bytes of a database's name.
    case nameSize
    /// Names of databases that a process remembers.
    case databases
    /// Bytes of log since the last checkpoint. Beyond, one is made.
    case logSize
    /// Bytes of a record of the log. Beyond, the commit becomes a checkpoint.
    case logRecord
    /// For how long a call waits for another program.
    case writerWait
    /// Levels of a tree.
    case depth
    /// Transaction ids, and positions in the log.
    case transactionIDs
    /// Bytes of log that are kept until they are archived. Beyond, the archive gets a gap.
    case archiveLog

    /// What metrics call it: an option by its name.
    public var name: String {
        switch self {
        case .maxSize: "max_size"
        case .transactionPages: "max_txn_pages"
        case .transactionMemory: "max_txn_memory"
        case .readers: "max_readers"
        case .processes: "processes"
        case .transactions: "transactions"
        case .cursors: "cursors"
        case .environments: "environments"
        case .nesting: "nesting"
        case .keySize: "key_size"
        case .valueSize: "value_size"
        case .nameSize: "name_size"
        case .databases: "databases"
        case .logSize: "log_size"
        case .logRecord: "log_record"
        case .writerWait: "writer_wait_ms"
        case .depth: "depth"
        case .transactionIDs: "transaction_ids"
        case .archiveLog: "archive_log"
        }
    }
}
