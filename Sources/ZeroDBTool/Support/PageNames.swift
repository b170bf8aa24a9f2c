import ZeroDB

extension PageUse {
    /// For JSON.
    var name: String {
        switch self {
        case .unreached: "unreached"
        case .meta: "meta"
        case .branch: "branch"
        case .leaf: "leaf"
        case .valueLeaf: "valueLeaf"
        case .overflow: "overflow"
        case .catalog: "catalog"
        case .freeTree: "freeTree"
        case .available: "available"
        case .waiting: "waiting"
        case .damaged: "damaged"
        case .behind: "behind"
        }
    }

    /// For people.
    var title: String {
        switch self {
        case .unreached: "unreached"
        case .meta: "meta page"
        case .branch: "branch"
        case .leaf: "leaf"
        case .valueLeaf: "leaf of values"
        case .overflow: "large values"
        case .catalog: "catalog"
        case .freeTree: "free tree"
        case .available: "free"
        case .waiting: "free, waiting"
        case .damaged: "damaged"
        case .behind: "behind the state"
        }
    }
}

extension PageTree {
    /// For JSON: the name of a database, as elsewhere, or what else it is.
    var name: String {
        switch self {
        case .main: "main"
        case .database(let name): Output.name(name)
        case .catalog: "catalog"
        case .freePages: "free tree"
        }
    }

    /// For people.
    var title: String {
        switch self {
        case .main: "main database"
        case .database(let name): "database \(Output.shortName(name))"
        case .catalog: "the catalog"
        case .freePages: "the free tree"
        }
    }
}

extension PageReferrer.Kind {
    /// For JSON.
    var name: String {
        switch self {
        case .metaRecord: "metaRecord"
        case .catalogEntry: "catalogEntry"
        case .branchSlot: "branchSlot"
        case .leafEntry: "leafEntry"
        case .freeList: "freeList"
        case .freeTreeEntry: "freeTreeEntry"
        }
    }
}
