//! `carryover admin application`.

use clap::Subcommand;

use super::{
    super::{
        Failure, output,
        page::{Page, day},
    },
    Common,
};
use crate::{
    config::parse_bytes,
    grpc::{client::Client, pb},
};

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ApplicationCommand {
    /// Make an application
    Create {
        /// Its name
        name: String,
        /// Switch imports on
        #[arg(long)]
        enable_imports: bool,
        /// Make it a sandbox, which can never import
        #[arg(long)]
        sandbox: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Change an application
    Update {
        /// The application
        #[arg(value_name = "ID")]
        id: String,
        /// Switch imports on or off
        #[arg(long, value_name = "BOOL")]
        imports_enabled: Option<bool>,
        /// How many imports may be active at a time
        #[arg(long, value_name = "N")]
        max_active_imports: Option<i32>,
        /// A limit of its own, such as rows=1000000 or upload_bytes=1GiB, or row_bytes= to go back to the
        /// server's; may be repeated
        #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = Limit::parse)]
        limits: Vec<Limit>,
        #[command(flatten)]
        common: Common,
    },
    /// List applications
    List {
        #[command(flatten)]
        page: Page,
    },
}

/// A limit to set, or to take back.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Limit {
    find: fn(&mut pb::ApplicationLimits) -> &mut Option<i64>,
    value: Option<i64>,
}

impl Limit {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("must have the form NAME=VALUE")?;
        let find: fn(&mut pb::ApplicationLimits) -> &mut Option<i64> = match name {
            "upload_bytes" => |limits| &mut limits.upload_bytes,
            "rows" => |limits| &mut limits.rows,
            "rows_per_day" => |limits| &mut limits.rows_per_day,
            "row_bytes" => |limits| &mut limits.row_bytes,
            "columns" => |limits| &mut limits.columns,
            "cell_bytes" => |limits| &mut limits.cell_bytes,
            "json_depth" => |limits| &mut limits.json_depth,
            "stored_row_errors" => |limits| &mut limits.stored_row_errors,
            "stored_warnings" => |limits| &mut limits.stored_warnings,
            "source_retention_days" => |limits| &mut limits.source_retention_days,
            _ => {
                return Err(
                    "the limits are upload_bytes, rows, rows_per_day, row_bytes, columns, cell_bytes, \
                            json_depth, stored_row_errors, stored_warnings and source_retention_days"
                        .to_owned(),
                );
            }
        };
        let value = match value {
            "" => None,
            size if name.ends_with("_bytes") => {
                Some(i64::try_from(parse_bytes(size)?).map_err(|_| "is too large".to_owned())?)
            }
            count => Some(count.parse().map_err(|_| format!("\"{count}\" is no number such as 1000"))?),
        };
        Ok(Self { find, value })
    }
}

pub(in crate::cli) async fn run(command: ApplicationCommand) -> Result<(), Failure> {
    match command {
        ApplicationCommand::Create { name, enable_imports, sandbox, common } => {
            let client = common.connection.open().await?;
            let request = pb::CreateApplicationRequest { name, enable_imports, sandbox };
            common.print(client.admin().create_application(request).await?.into_inner().application.as_ref())
        }
        ApplicationCommand::Update { id, imports_enabled, max_active_imports, limits, common } => {
            let client = common.connection.open().await?;
            let request = pb::UpdateApplicationRequest {
                limits: changed_limits(&client, &id, &limits).await?,
                application_id: id,
                imports_enabled,
                max_active_imports,
            };
            common.print(client.admin().update_application(request).await?.into_inner().application.as_ref())
        }
        ApplicationCommand::List { page } => {
            let client = page.connection.open().await?;
            let request =
                pb::ListApplicationsRequest { page_size: page.limit, page_token: page.page_token.clone() };
            let answer = client.admin().list_applications(request).await?.into_inner();
            page.print(&answer.applications, &answer.next_page_token, |application| {
                let imports = match (application.sandbox, application.imports_enabled) {
                    (true, _) => "sandbox",
                    (false, true) => "imports on",
                    (false, false) => "imports off",
                };
                let made = day(application.created_at.as_ref());
                format!("{}  {imports:<11}  {made}  {}", application.id, output::printable(&application.name))
            })
        }
    }
}

/// All limits of an application with some of them changed; nothing when none is.
async fn changed_limits(
    client: &Client,
    id: &str,
    limits: &[Limit],
) -> Result<Option<pb::ApplicationLimits>, Failure> {
    if limits.is_empty() {
        return Ok(None);
    }
    let mut page_token = String::new();
    loop {
        let request = pb::ListApplicationsRequest { page_size: 1_000, page_token };
        let answer = client.admin().list_applications(request).await?.into_inner();
        if let Some(found) = answer.applications.into_iter().find(|application| application.id == id) {
            let mut changed = found.limits.unwrap_or_default();
            for limit in limits {
                *(limit.find)(&mut changed) = limit.value;
            }
            return Ok(Some(changed));
        }
        if answer.next_page_token.is_empty() {
            return Err(Failure::Other("there is no such application".to_owned()));
        }
        page_token = answer.next_page_token;
    }
}
