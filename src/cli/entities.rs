//! `carryover users` and `carryover businesses`.

use clap::Subcommand;

use super::{
    Done, Failure, output,
    page::{OneArgs, Page, print, shown},
};
use crate::grpc::pb;

/// What to ask of users.
#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// List users, the one with the newest session first
    List(Page),
    /// Show a user by vendor_data
    Get(OneArgs),
    /// Erase a user by vendor_data for good, and the user's rows in stored files
    Erase(OneArgs),
}

/// What to ask of businesses.
#[derive(Debug, Subcommand)]
pub(super) enum BusinessesCommand {
    /// List businesses, the one with the newest session first
    List(Page),
    /// Show a business by vendor_data
    Get(OneArgs),
    /// Erase a business by vendor_data for good, and its rows in stored files
    Erase(OneArgs),
}

pub(super) async fn users(command: UsersCommand) -> Result<Done, Failure> {
    match command {
        UsersCommand::List(page) => {
            let client = page.connection.open().await?;
            let request = pb::ListUsersRequest { page_size: page.limit, page_token: page.page_token.clone() };
            let answer = client.entities().list_users(request).await?.into_inner();
            page.print(&answer.users, &answer.next_page_token, |user| {
                let counts =
                    (user.session_count, user.approved_count, user.declined_count, user.in_review_count);
                profile_line(&user.vendor_data, counts, user.effective_name.as_ref())
            })?;
        }
        UsersCommand::Get(args) => {
            let client = args.connection.open().await?;
            let answer = client.entities().get_user(pb::GetUserRequest { vendor_data: args.id }).await?;
            print(answer.into_inner().user.as_ref(), args.json)?;
        }
        UsersCommand::Erase(args) => {
            let client = args.connection.open().await?;
            let request = pb::EraseUserRequest { vendor_data: args.id };
            print(Some(&client.entities().erase_user(request).await?.into_inner()), args.json)?;
        }
    }
    Ok(Done::Well)
}

pub(super) async fn businesses(command: BusinessesCommand) -> Result<Done, Failure> {
    match command {
        BusinessesCommand::List(page) => {
            let client = page.connection.open().await?;
            let request =
                pb::ListBusinessesRequest { page_size: page.limit, page_token: page.page_token.clone() };
            let answer = client.entities().list_businesses(request).await?.into_inner();
            page.print(&answer.businesses, &answer.next_page_token, |business| {
                let counts = (
                    business.session_count,
                    business.approved_count,
                    business.declined_count,
                    business.in_review_count,
                );
                profile_line(&business.vendor_data, counts, Some(&business.effective_name))
            })?;
        }
        BusinessesCommand::Get(args) => {
            let client = args.connection.open().await?;
            let request = pb::GetBusinessRequest { vendor_data: args.id };
            print(client.entities().get_business(request).await?.into_inner().business.as_ref(), args.json)?;
        }
        BusinessesCommand::Erase(args) => {
            let client = args.connection.open().await?;
            let request = pb::EraseBusinessRequest { vendor_data: args.id };
            print(Some(&client.entities().erase_business(request).await?.into_inner()), args.json)?;
        }
    }
    Ok(Done::Well)
}

/// A profile in a line: sessions in all, approved, declined, in review.
fn profile_line(
    vendor_data: &str,
    (sessions, approved, declined, in_review): (i64, i64, i64, i64),
    name: Option<&String>,
) -> String {
    format!(
        "{:<24}  {sessions:>4} sessions  {approved:>4} approved  {declined:>4} declined  {in_review:>4} in review  {}",
        output::printable(vendor_data),
        shown(name),
    )
}
