import Testing

@testable import Simulator
@testable import ZeroDB

/// Environments of every shape, damaged in every way: no wrong answer is unnoticed, and a verification
/// finds whatever reading finds.
@Suite("Damage campaign")
struct DamageCampaignTests {
    /// Cases are dealt out to as many threads.
    static let lanes = 2
    private static let failuresMax = 5

    private static let isLong = DamageSettings.cases != nil || DamageSettings.seed != nil

    private static var seeds: [UInt64] {
        if let seed = DamageSettings.seed { return [seed] }
        let first = TestSettings.seed &* 1_000_000_000 / DamageCampaign.casesEach
        let count = UInt64(DamageSettings.cases ?? (TestSettings.isShortened ? 200 : 1000))
        return (0..<count).map { first &* DamageCampaign.casesEach &+ $0 }
    }

    @Test("Whatever is damaged is noticed, and nothing wrong is read", arguments: 0..<lanes)
    func noticesDamage(_ lane: Int) throws {
        let campaign = DamageCampaign(lane: lane)
        var failures = 0
        for seed in Self.seeds
        where seed / DamageCampaign.casesEach % UInt64(Self.lanes) == UInt64(lane) {
            do {
                try campaign.run(seed: seed)
            } catch {
                Issue.record("case \(seed): \(error)")
                failures += 1
                // More of the same says nothing new.
                if failures == Self.failuresMax { break }
            }
            if Self.isLong, campaign.cases % 2000 == 0 {
                print("damage, lane \(lane): \(campaign.summary)")
            }
        }
        if Self.isLong { print("damage, lane \(lane): \(campaign.summary)") }
    }

    /// A meta page of another environment; heads that do not fit their keys; a log that goes on from a lost
    /// state; an older page with the transaction of the newer one; repairs; damaged separators beside losses;
    /// two copies of a record that differ.
    @Test(
        "What the campaign found once stays found",
        arguments: [
            1446, 20215, 13971, 37552, 317, 321, 1047, 3221, 1895, 1_000_006_115, 1_000_009_962,
            1_000_017_133, 1_000_020_273, 1_000_022_148, 1_300_000_093_531, 1_400_000_039_703,
            1_500_000_014_145, 1_500_000_098_060,
        ])
    func findsAgain(_ seed: UInt64) throws {
        try DamageCampaign(lane: Self.lanes).run(seed: seed)
    }
}
