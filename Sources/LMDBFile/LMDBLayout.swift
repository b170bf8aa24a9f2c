/// How the numbers of a file of LMDB lie: by the version that wrote it, and the size of a word there.
///
/// The structures are those of `MDB_page`, `MDB_node`, `MDB_db` and `MDB_meta` in `mdb.c` of LMDB 0.9.24
/// (`MDB_DATA_VERSION` 1) and 1.0 (3), read as the C compilers lay them out on Linux. A file of a machine
/// with 32 bits has page numbers and sizes of 4 bytes, unless LMDB was built there with `MDB_VL32`: then it
/// is like one of a machine with 64.
struct LMDBLayout: Equatable {
    /// 1 or 3.
    let version: UInt32
    /// Bytes of a page number, a size or a transaction id: 4 or 8.
    let word: Int

    /// All that are read.
    static let all = [1, 3].flatMap { version in
        [8, 4].map { LMDBLayout(version: version, word: $0) }
    }

    static let magic: UInt32 = 0xbeef_c0de

    /// Bytes of a page's header (PAGEHDRSZ): its number, since 1.0 the transaction, then the size of a
    /// fixed-size key, flags, and the bounds of what is unused or the number of pages of a run.
    var headerSize: Int { (version == 1 ? word : 2 * word) + 8 }

    /// What the offsets in a page are counted from (PAGEBASE).
    var pageBase: Int { version == 1 ? 0 : headerSize }

    /// Bytes of what is known of a tree (`MDB_db`).
    var treeSize: Int { 8 + 5 * word }

    /// Bytes of a meta page's contents (`MDB_meta`).
    var metaSize: Int { 8 + 2 * word + 2 * treeSize + 2 * word }

    /// Bytes by which a leaf refers to an overflow run: the page number; since 1.0 `MDB_ovpage`.
    var runReferenceSize: Int { version == 1 ? word : 3 * word }

    /// Bytes of a node before its key (NODESIZE).
    static let nodeHeaderSize = 8

    /// Where the data of a node begins, from the beginning of its key. Since 1.0 a key has an even number of
    /// bytes.
    func dataOffset(_ key: Int) -> Int { version == 1 ? key : key + key & 1 }

    /// Bytes of the key and the data of a node, with what makes their number even.
    func padded(_ key: Int, _ data: Int) -> Int {
        let size = dataOffset(key) + data
        return size + size & 1
    }

    /// The largest page number that a branch can refer to, and more: no real page.
    var noPage: UInt64 { word == 8 ? .max : UInt64(UInt32.max) }

    /// As a message names it.
    var title: String {
        "LMDB \(version == 1 ? "0.9" : "1.0") of a \(word * 8)-bit machine"
    }

    /// Bits of a page's flags.
    enum PageFlag {
        static let branch: UInt16 = 0x01
        static let leaf: UInt16 = 0x02
        static let overflow: UInt16 = 0x04
        static let meta: UInt16 = 0x08
        static let fixedSize: UInt16 = 0x20
        static let subPage: UInt16 = 0x40
        /// Those that say what a page is; others are of pages in memory, and may be left over.
        static let kindBits = branch | leaf | overflow | meta | fixedSize | subPage
    }

    /// Bits of a node's flags.
    enum NodeFlag {
        /// The data is a reference to an overflow run.
        static let run: UInt16 = 0x01
        /// The data is what is known of a tree: a named database, or the values of a key.
        static let tree: UInt16 = 0x02
        /// The key has several values.
        static let duplicates: UInt16 = 0x04
        static let all = run | tree | duplicates
    }

    /// The bit of the environment's flags that says that pages are encrypted.
    static let encrypted: UInt16 = 0x2000
}
