//! Bugs planted on purpose, so that judges can show that they would see them. Only with the feature `planted`, which no
//! program of the project may be built with: [`PLANTED`](crate::PLANTED) lets a build refuse it.
//!
//! At each place is one `if planted!(Bug)`, which is `false` without the feature. Which bug is in force is one number for
//! the whole process: nothing else could reach a machine that owns no state but its own.

use core::sync::atomic::{AtomicUsize, Ordering};

macro_rules! bugs {
    (
        swarm { $($bug:ident $name:literal: $words:literal,)* }
        wire { $($wire:ident $wire_name:literal: $wire_words:literal,)* }
    ) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $(#[doc = $words] $bug,)*
            $(#[doc = $wire_words] $wire,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Bug] = &[$(Bug::$bug,)* $(Bug::$wire,)*];

            /// Those that harm nodes which only deal with nodes of ours: the simulated swarm must find them.
            pub const SWARM: &'static [Bug] = &[$(Bug::$bug,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)* $(Bug::$wire => $wire_name,)* }
            }

            /// What is wrong, in words.
            pub const fn words(self) -> &'static str {
                match self { $(Bug::$bug => $words,)* $(Bug::$wire => $wire_words,)* }
            }
        }
    };
}

bugs! {
    swarm {
        NonceReuse "nonce-reuse": "every eighth frame is sealed with the nonce of the one before",
        ReplayAccepted "replay-accepted": "a frame that was opened before is opened again",
        ForgedKeyAccepted "forged-key-accepted": "a key exchange needs neither a good signature nor the registered key",
        SpoofedSource "spoofed-source": "a packet may name another node than its tunnel as its source",
        WedgedRekey "wedged-rekey": "once a peer is proved, another key of it is never taken",
        PlaintextFallback "plaintext-fallback": "what would have to wait for keys is sent in clear",
        TrustGateSkipped "trust-gate-skipped": "a private node talks to everybody",
        PingStorm "ping-storm": "a pong is answered like a ping",
        AckBeyondSent "ack-beyond-sent": "an acknowledgment of bytes that were never sent is believed",
        LostTimer "lost-timer": "a stream does not ask to be called when its retransmission is due",
        LostRetransmission "lost-retransmission": "what is to be sent again is marked as sent and not sent",
        FinBeforeData "fin-before-data": "the end of a stream is said before its last bytes are sent",
        UnfairTurns "unfair-turns": "about every other stream may have two segments under way only",
        LeakedStream "leaked-stream": "the row of a stream that is over is not freed",
        AckBeforeSync "ack-before-sync": "the registry answers before the disk has what it promises",
        LostUpdate "lost-update": "the registry says yes to new tags and stores none",
        DuplicateAddress "duplicate-address": "the registry hands every third address out twice",
        NameTakenTwice "name-taken-twice": "the registry gives a name that another node has",
        RelayMisdelivered "relay-misdelivered": "the beacon passes a relayed frame to another node",
    }
    // Those that show only to a peer, a client or a local program that breaks a rule itself or counts what is sent, and
    // to who restarts, damages and floods programs.
    wire {
        ChecksumIgnored "checksum-ignored": "a packet whose checksum is wrong is taken",
        VersionIgnored "version-ignored": "a packet of another version is taken",
        DatagramCut "datagram-cut": "of a datagram no more than 1 200 bytes are delivered",
        EmptyDatagram "empty-datagram": "a datagram without payload is delivered",
        PlaintextAccepted "plaintext-accepted": "a packet in clear is taken although encryption is on",
        AnonymousAccepted "anonymous-accepted": "an anonymous key exchange makes a tunnel",
        RoamingIgnored "roaming-ignored": "a peer whose address changes is still answered at the old one",
        ExchangeMoves "exchange-moves": "a key exchange moves the peer to where it came from, so that a copy of it does",
        FinNotAwaited "fin-not-awaited": "a FIN that overtakes data ends the stream",
        ResetOfAnybody "reset-of-anybody": "a RST ends a stream whichever node sends it",
        SackIgnored "sack-ignored": "what a peer reports beyond a gap is not looked at",
        WindowIgnored "window-ignored": "more is sent than the peer has room for",
        PunchIgnored "punch-ignored": "a punch command is not obeyed",
        PunchFlood "punch-flood": "each punch command is obeyed, however many come",
        BeaconOfAnybody "beacon-of-anybody": "messages of a beacon are believed whoever sends them",
        RelayUnanswered "relay-unanswered": "what comes through the relay is answered directly",
        RevokeLeavesOpen "revoke-leaves-open": "a revocation leaves the tunnel and its streams standing",
        UnaskedAccept "unasked-accept": "an accept makes trust although nobody asked",
        SignatureIgnored "signature-ignored": "trust messages need no good signature",
        OldMessageTaken "old-message-taken": "the time of a trust message is not looked at",
        TrustNotStored "trust-not-stored": "a change of trust is answered as durable and not written down",
        HugeMessage "huge-message": "a local program may announce a message of any length",
        SlowProgramBlocks "slow-program-blocks": "while one local program does not read, no other is served",
        DeadProgramStreams "dead-program-streams": "the streams of a local program that ended stay open",
        DeadProgramPorts "dead-program-ports": "the ports of a local program that ended stay bound",
        EchoShort "echo-short": "of 512 bytes or more the echo service leaves out the first",
        DataUnacknowledged "data-unacknowledged": "data exchange does not answer messages of type JSON",
        EventsToAll "events-to-all": "a subscriber gets the events of every topic",
        // Of a registry.
        HalfRequestBlocks "half-request-blocks": "while half a request of one client is there, no other is served",
        GarbageAnswered "garbage-answered": "what is no request is answered, and the connection stays",
        HugeRequest "huge-request": "a client may announce a request of any length",
        AnswerUnescaped "answer-unescaped": "answers hold markup as it came",
        AnswersPileUp "answers-pile-up": "a client that takes no answers is read on",
        UnsignedMoves "unsigned-moves": "an unsigned registration moves a node that is online",
        UnsignedAgain "unsigned-again": "a key that has registered signed may register unsigned",
        EndpointKept "endpoint-kept": "a node that registers from elsewhere is still said to be where it was",
        RequestForged "request-forged": "the signature of a request is not verified",
        OldHeartbeat "old-heartbeat": "the time of a heartbeat is not looked at, so that it can be replayed",
        HeartbeatLost "heartbeat-lost": "a heartbeat is answered and does not count",
        NeverOffline "never-offline": "a node without heartbeats stays online",
        RotationByNewKey "rotation-by-new-key": "a key is replaced by whoever has the new one",
        NameNotFreed "name-not-freed": "a node that leaves keeps its name",
        AnyHostname "any-hostname": "every text is a hostname",
        TaskExecLost "task-exec-lost": "the registry says yes to task execution and does not note it",
        PrivateShown "private-shown": "lookup tells where a private node is",
        OwnerTold "owner-told": "lookup tells the owner",
        PrivateFound "private-found": "a private node is found by strangers",
        RequesterBelieved "requester-believed": "a requester that did not sign is believed",
        AnybodyAdministers "anybody-administers": "the administrator's token is not looked at",
        AdministratorIgnored "administrator-ignored": "the administrator's token does not replace a signature",
        TrustOfOne "trust-of-one": "the consent of one of two is taken for trust",
        HalfRevoked "half-revoked": "a revocation takes back what its sender gave, not what the other gave",
        InboxKept "inbox-kept": "a message that was polled stays in the inbox",
        InboxTwice "inbox-twice": "two polls at the same time get the same message",
        InboxUnbounded "inbox-unbounded": "any number of requests waits for a node",
        Unwoken "unwoken": "who is asked for trust is not woken",
        ConsentNotStored "consent-not-stored": "trust is kept in memory only",
        IdsAgain "ids-again": "after a restart ids are handed out again",
        StoreReplaced "store-replaced": "a store that cannot be read is replaced by an empty one",
        CertificateRemade "certificate-remade": "each start makes another TLS certificate",
        RatesUnlimited "rates-unlimited": "no kind of request is limited",
        ConnectionsUnlimited "connections-unlimited": "one address may have any number of connections",
        ConnectionsLeak "connections-leak": "a connection that ended still counts for its address",
        // Of a beacon.
        StaleReflexive "stale-reflexive": "a node that moved is told the address it had",
        GarbageReflected "garbage-reflected": "whatever comes is answered with an address",
        PunchOfStrangers "punch-of-strangers": "a stranger is told where a private node is",
        PunchesUnlimited "punches-unlimited": "each punch request is passed on, however many come",
        RelayForUnregistered "relay-for-unregistered": "frames are relayed for a sender that did not register",
        RelayInAnyName "relay-in-any-name": "frames are relayed in the name of another host's node",
        RelayDoubled "relay-doubled": "a relayed frame is delivered twice",
        RelayRegisters "relay-registers": "who relays is registered by it",
        IdOfAnybody "id-of-anybody": "a node that speaks loses its id to another host",
        NeverForgotten "never-forgotten": "the beacon forgets nobody",
        GossipOfAnybody "gossip-of-anybody": "a list of nodes is believed whoever sends it",
        RepliesUnlimited "replies-unlimited": "each registration is answered, however many come",
        PlacesUnlimited "places-unlimited": "one source may fill the table",
        RelaysUnlimited "relays-unlimited": "each frame of a sender is relayed, however many come",
        // Of a daemon's lives, and of a daemon whose registry is gone or talks nonsense.
        IdentityRemade "identity-remade": "each start makes another identity",
        TunnelKeyKept "tunnel-key-kept": "the X25519 key is the same in each life",
        StrayUnanswered "stray-unanswered": "data of a stream that nobody has is not answered",
        IdentityShared "identity-shared": "two daemons may run with one identity",
        EndIgnored "end-ignored": "a request to end is not heard",
        NotDialledAgain "not-dialled-again": "a registry that hung up is not dialled again",
        DialledWithoutPause "dialled-without-pause": "a registry that is gone is dialled without pause",
        NotRegisteredAgain "not-registered-again": "to a registry that is back it does not register",
        NotRestored "not-restored": "to a registry that is back it does not say its settings",
        AsksWithoutPause "asks-without-pause": "a refused registration is asked for again at once, without end",
        BeaconAwaited "beacon-awaited": "without its beacon it does not start",
        HeartbeatStorm "heartbeat-storm": "a heartbeat is sent ten times a second",
        PortNotTold "port-not-told": "it registers without its port",
        HugeAnswer "huge-answer": "a registry may announce an answer of any length",
        IdentityReplaced "identity-replaced": "a damaged identity is replaced by another",
        // Of a daemon under load.
        SynsUnlimited "syns-unlimited": "each SYN is answered, however many come",
        WindowOverrun "window-overrun": "data beyond the window is kept",
        ExchangesUnlimited "exchanges-unlimited": "each key exchange is dealt with, however many come",
        StrangersUnlimited "strangers-unlimited": "each stranger is answered with a key, however many come",
        DialsShared "dials-shared": "all programs together may dial 64 nodes at a time",
        DatagramsPileUp "datagrams-pile-up": "datagrams are kept for a program that takes none",
        PingsUnlimited "pings-unlimited": "each ping is answered, however many come",
        ProgramsLeak "programs-leak": "a program that left still counts",
        WritesPileUp "writes-pile-up": "what a program writes is kept, however little the peer takes",
        RepliesPileUp "replies-pile-up": "a program that takes no answers is read on",
        TurnWithoutEnd "turn-without-end": "all that a program asks is answered before anybody else is looked at",
    }
}

/// Number of the bug in force, 0 for none.
static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Puts one bug in force, or none, for the whole process.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as usize + 1), Ordering::Relaxed);
}

/// Whether this bug is in force.
#[doc(hidden)]
pub fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bug_is_in_force_at_a_time_and_names_are_their_own() {
        for (at, bug) in Bug::ALL.iter().enumerate() {
            assert!(Bug::ALL[..at].iter().all(|other| other.name() != bug.name()));
        }
        assert!(Bug::ALL.iter().all(|bug| !is(*bug)), "none at first");
    }
}
