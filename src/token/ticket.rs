//! The text of a canary's ticket: `ID.NUMBER.SIGNATURE`.

use super::signed::{signed, verified};
use super::signer::{Purpose, Signer};
use crate::service::{TICKETS, Ticket};

pub fn ticket_text(ticket: Ticket, signer: &Signer, service: &str) -> String {
    signed(signer, Purpose::Canary, service, (ticket.id, ticket.number))
}

/// `None`: forged, or for another service.
pub fn read_ticket(text: &str, signer: &Signer, service: &str) -> Option<Ticket> {
    let ticket = |id: &str, number: &str| Some(Ticket { id: id.parse().ok()?, number: number.parse().ok()? });
    verified(text, signer, Purpose::Canary, service, ticket).filter(|ticket| ticket.number < TICKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_for_its_service_alone_and_below_the_number_of_tickets() {
        let signer = Signer::new(&[7; 32]);
        let last = Ticket { id: 3, number: TICKETS - 1 };
        let text = ticket_text(last, &signer, "app");
        assert_eq!(read_ticket(&text, &signer, "app"), Some(last));
        assert_eq!(read_ticket(&text, &signer, "shop"), None, "of another service");
        assert_eq!(read_ticket(&text.replacen("3.", "4.", 1), &signer, "app"), None, "changed");
        let none = ticket_text(Ticket { id: 3, number: TICKETS }, &signer, "app");
        assert_eq!(read_ticket(&none, &signer, "app"), None, "there is no such ticket");
        for nothing in ["", ".", "..", "3", "3.1", "3.1."] {
            assert_eq!(read_ticket(nothing, &signer, "app"), None, "{nothing:?}");
        }
    }
}
