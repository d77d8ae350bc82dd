//! A bank: money goes from one account to another, and none is lost or made.

use client::Error;
use model::Oid;

use super::layout::{ACCOUNTS, number, oids};
use super::session::Session;

/// Moves some money, or looks at all accounts as of one moment.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    let mut accounts: Vec<Oid> = oids(ACCOUNTS).collect();
    session.random.shuffle(&mut accounts);
    if session.random.chance(1, 10) {
        let before = session.present();
        for account in accounts {
            session.load(account, before).await?;
        }
        return Ok(());
    }
    let (from, to) = (accounts[0], accounts[1]);
    let mut transaction = session.begin().await?;
    let Some((from_serial, from_data)) = session.load_newest(from).await? else { return Ok(()) };
    let Some((to_serial, to_data)) = session.load_newest(to).await? else { return Ok(()) };
    let (Some(from_balance), Some(to_balance)) = (number(&from_data), number(&to_data)) else {
        panic!("accounts have balances: {from_data:?}, {to_data:?}");
    };
    let amount = (1 + session.random.below(10)).min(from_balance);
    let (from_balance, to_balance) = (from_balance - amount, to_balance + amount);
    transaction.store(from, from_serial, Some(from_balance.to_be_bytes().to_vec())).await?;
    session.hesitate().await;
    transaction.store(to, to_serial, Some(to_balance.to_be_bytes().to_vec())).await?;
    transaction.vote().await?;
    session.hesitate().await;
    transaction.finish().await.map(drop)
}
