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
    // Those that show only to a peer, a beacon or a local program that breaks a rule itself, or counts what is sent.
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
