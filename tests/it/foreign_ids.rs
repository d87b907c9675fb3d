//! Every RPC there is, called with ids of another application: driven by the descriptors, so that a new one
//! is covered without anyone remembering.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bytes::{Buf, BufMut};
use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, Role},
};
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ReflectMessage, Value,
};
use tonic::{Code, Request, Status, transport::Channel};

use crate::{
    harness::{Database, Server, Tenant, counters, reason},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(no_rpc_tells_or_changes_what_is_anothers);

/// Texts of requests that name nothing of an application's.
const NO_IDS: [&str; 27] = [
    "certificate_name",
    "constant",
    "csv_delimiter",
    "countries",
    "date_format",
    "date_from",
    "date_to",
    "document_types",
    "encoding",
    "external_id",
    "field",
    "join",
    "key",
    "metamap_vendor_data_key",
    "name",
    "onfido_vendor_data_tag",
    "otherwise",
    "page_token",
    "provider",
    "request_id",
    "row",
    "resume_token",
    "source_file_url",
    "source_filename",
    "sources",
    "value",
    "labels",
];

/// Ids of the owner by the names of the fields that take them.
type Ids = BTreeMap<&'static str, Vec<String>>;

/// Whose data are looked for: every text of it holds this.
const MARKER: &str = "Marker";

const PEOPLE: &str = "external_id,vendor_data,first_name,status\n\
    Marker-1,Marker-person,Marker,Approved\n\
    Marker-2,Marker-person,Marker,Marker\n";
const COMPANIES: &str =
    "{\"external_id\":\"Marker-3\",\"vendor_data\":\"Marker-company\",\"company_name\":\"Marker Ltd\"}";
const TRANSACTIONS: &str = "{\"external_id\":\"Marker-4\",\"transaction_at\":\"2024-01-01T00:00:00Z\",\
    \"transaction_category\":\"finance\",\"direction\":\"in\",\"amount\":\"1\",\"currency\":\"EUR\",\
    \"subject_vendor_data\":\"Marker-person\",\"subject_full_name\":\"Marker\"}";
const RULES: &str = "{\"external_id\":\"Marker-5\",\"feature\":\"OCR\",\"field\":\"kyc.Marker\",\
    \"operator\":\"equals\",\"value\":\"Marker\",\"status\":\"Declined\"}";

async fn ids_of_an_owner(server: &Server, owner: &Tenant) -> Ids {
    let mut ids = Ids::new();
    for (import_type, file) in [
        (ImportType::UserVerification, PEOPLE),
        (ImportType::BusinessVerification, COMPANIES),
        (ImportType::Transactions, TRANSACTIONS),
        (ImportType::StatusRules, RULES),
    ] {
        let spec = spec_of(server, owner, import_type).await;
        let labels = [("label".to_owned(), MARKER.to_owned())].into();
        let spec = pb::ImportSpec { source_filename: MARKER.to_owned(), labels, ..spec };
        let import = owner.import_as(spec, file).await.expect("an import");
        assert_eq!(counters(&import).0, 1, "{import_type:?}: {:?}", owner.row_errors(&import.uuid).await);
        ids.entry("import_id").or_default().push(import.uuid);
    }
    // One that has not ended, which there is more to do to.
    ids.entry("import_id").or_default().push(owner.create().await.uuid);
    let all = pb::ListSessionsRequest { session_kind: pb::SessionKind::All as i32, ..Default::default() };
    let sessions: Vec<_> = owner.sessions(all).await.into_iter().map(|session| session.session_id).collect();
    let list = pb::ListTransactionsRequest::default();
    let listed = owner.client.transactions().list_transactions(list).await.expect("a list").into_inner();
    let list = pb::ListWorkflowsRequest::default();
    let workflows = owner.client.workflows().list_workflows(list).await.expect("a list").into_inner();
    let workflows: Vec<_> = workflows.workflows.into_iter().map(|workflow| workflow.id).collect();
    let list = pb::ListApiKeysRequest { application_id: owner.application.clone(), ..Default::default() };
    let keys = server.admin.admin().list_api_keys(list).await.expect("a list").into_inner().api_keys;
    ids.insert("search", sessions.iter().cloned().chain([MARKER.to_owned()]).collect());
    ids.insert("session_id", sessions);
    ids.insert("transaction_id", listed.transactions.into_iter().map(|one| one.uuid).collect());
    ids.insert("workflow_id", workflows.clone());
    ids.insert("workflow_ids", workflows);
    ids.insert("vendor_data", vec!["Marker-person".to_owned(), "Marker-company".to_owned()]);
    ids.insert("application_id", vec![owner.application.clone()]);
    ids.insert("api_key_id", keys.into_iter().map(|key| key.id).collect());
    assert!(ids.values().all(|ids| !ids.is_empty()), "{ids:?}");
    ids
}

/// One way to fill a request in.
struct Choice<'c> {
    /// The one field to fill, all of them, or none (`Some("")`).
    only: Option<&'c str>,
    /// Which of the owner's ids.
    candidate: usize,
    /// Value of enums.
    word: i32,
    /// Which member of a oneof.
    member: usize,
}

/// Every text among the fields of a request, however deep.
fn texts(message: &MessageDescriptor, found: &mut Vec<String>) {
    for field in message.fields().filter(|field| !field.is_map()) {
        match field.kind() {
            Kind::String => found.push(field.name().to_owned()),
            Kind::Message(inner) if is_ours(&inner) => texts(&inner, found),
            _ => {}
        }
    }
}

fn is_ours(message: &MessageDescriptor) -> bool {
    message.package_name() == "carryover.v1"
}

fn fill(message: &mut DynamicMessage, ids: &Ids, choice: &Choice<'_>) {
    let descriptor = message.descriptor();
    let chosen =
        |field: &FieldDescriptor| match field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            Some(oneof) => oneof.fields().nth(choice.member % oneof.fields().len()).as_ref() == Some(field),
            None => true,
        };
    for field in descriptor.fields().filter(|field| !field.is_map() && chosen(field)) {
        match field.kind() {
            Kind::String if choice.only.is_none_or(|only| only == field.name()) => {
                let Some(candidates) = ids.get(field.name()) else { continue };
                let value = if field.is_list() {
                    Value::List(candidates.iter().cloned().map(Value::String).collect())
                } else {
                    Value::String(candidates[choice.candidate % candidates.len()].clone())
                };
                message.set_field(&field, value);
            }
            Kind::Enum(kind) if !field.is_list() && kind.get_value(choice.word).is_some() => {
                message.set_field(&field, Value::EnumNumber(choice.word));
            }
            Kind::Message(inner) if !field.is_list() && is_ours(&inner) => {
                let mut value = DynamicMessage::new(inner);
                fill(&mut value, ids, choice);
                message.set_field(&field, Value::Message(value));
            }
            _ => {}
        }
    }
}

/// Requests of a method: with no id, with all, and with each alone; each of the owner's ids in turn.
fn requests(method: &MethodDescriptor, ids: &Ids) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    texts(&method.input(), &mut names);
    for name in &names {
        assert!(
            ids.contains_key(name.as_str()) || NO_IDS.contains(&name.as_str()),
            "{}: add the field {name} to the ids of this test, or to NO_IDS when it names nothing",
            method.full_name()
        );
    }
    names.retain(|name| ids.contains_key(name.as_str()));
    names.push(String::new());
    let mut requests = HashSet::new();
    for only in names.iter().map(|name| Some(name.as_str())).chain([None]) {
        for candidate in 0..4 {
            for word in 0..5 {
                for member in 0..4 {
                    let mut message = DynamicMessage::new(method.input());
                    fill(&mut message, ids, &Choice { only, candidate, word, member });
                    requests.insert(message.encode_to_vec());
                }
            }
        }
    }
    requests.into_iter().collect()
}

/// Everything a call answers, messages and status, as bytes to look through.
struct Answer {
    code: Code,
    /// Of a refusal.
    reason: String,
    bytes: Vec<u8>,
}

async fn call(channel: &Channel, key: &str, path: &str, request: Vec<u8>) -> Answer {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("connects");
    let mut request = Request::new(tokio_stream::iter([request]));
    request.metadata_mut().insert("x-api-key", key.parse().expect("a key"));
    let mut bytes = Vec::new();
    let ended = async {
        let mut answers = grpc.streaming(request, path.parse().expect("a path"), Raw).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            bytes.extend(answer);
        }
        Ok::<_, Status>(())
    };
    // A stream may have no end; what it tells comes at once.
    match tokio::time::timeout(Duration::from_secs(20), ended).await {
        Ok(Err(status)) => {
            bytes.extend(status.message().as_bytes());
            bytes.extend(status.details());
            Answer { code: status.code(), reason: reason(&status), bytes }
        }
        Ok(Ok(())) | Err(_) => Answer { code: Code::Ok, reason: String::new(), bytes },
    }
}

/// Ids of what exists nowhere, each as long as the one of the owner's it stands for, longest first.
fn strangers(ids: &Ids) -> Vec<(String, String)> {
    let nobody = |id: &String| match uuid::Uuid::try_parse(id) {
        Ok(_) => (id.clone(), uuid::Uuid::new_v4().to_string()),
        Err(_) => (id.clone(), id.replace(MARKER, "Nobody")),
    };
    let mut strangers: Vec<_> = ids.values().flatten().map(nobody).collect();
    strangers.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(id.len()));
    strangers
}

/// The same request about what exists nowhere.
fn about_nobody(request: &[u8], strangers: &[(String, String)]) -> Vec<u8> {
    let mut request = request.to_vec();
    for (id, stranger) in strangers {
        assert_eq!(id.len(), stranger.len(), "lengths stand in the request");
        for at in 0..request.len().saturating_sub(id.len() - 1) {
            if request[at..].starts_with(id.as_bytes()) {
                request[at..at + id.len()].copy_from_slice(stranger.as_bytes());
            }
        }
    }
    request
}

/// Whether only an administrator may call it, whatever it names.
fn is_for_administrators(method: &MethodDescriptor) -> bool {
    method.parent_service().name() == "AdminService" || method.name() == "CreateWorkflow"
}

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).expect("descriptors");
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn path_of(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// What the owner sees of everything.
async fn seen(channel: &Channel, owner: &Tenant, ids: &Ids) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut seen = BTreeMap::new();
    for method in methods() {
        let reads = ["Get", "List", "Stream", "Export"].iter().any(|verb| method.name().starts_with(verb));
        if !reads || method.parent_service().name() == "AdminService" || method.name() == "GetImportTemplate"
        {
            continue;
        }
        let path = path_of(&method);
        let mut answers = Vec::new();
        for request in requests(&method, ids) {
            answers.push(call(channel, &owner.key, &path, request).await.bytes);
        }
        answers.sort_unstable();
        seen.insert(path, answers);
    }
    seen
}

/// Ends the imports the calls made, since erasing is refused beside an active one.
async fn cancel_all(tenant: &Tenant) {
    let request = pb::ListImportsRequest { page_size: 1_000, ..Default::default() };
    let imports = tenant.client.imports().list_imports(request).await.expect("a list").into_inner().imports;
    for import in imports {
        let ended = matches!(
            import.status(),
            pb::ImportStatus::Completed | pb::ImportStatus::Failed | pb::ImportStatus::Cancelled
        );
        if !ended {
            let request = pb::CancelImportRequest { import_id: import.uuid };
            tenant.client.imports().cancel_import(request).await.expect("cancelled");
        }
    }
}

/// M006.
async fn no_rpc_tells_or_changes_what_is_anothers(database: Database) {
    let server = Server::start(database).await;
    let (owner, stranger) = (server.tenant().await, server.tenant().await);
    let ids = ids_of_an_owner(&server, &owner).await;
    let request = pb::UpdateApplicationRequest {
        application_id: stranger.application.clone(),
        // Imports of their own are in nobody's way.
        max_active_imports: Some(1_000),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("updated");
    let channel = tonic::transport::Endpoint::from_shared(server.address()).expect("an address");
    let channel = channel.connect().await.expect("connects");
    let secret: Vec<&str> =
        ids.values().flatten().map(String::as_str).chain([MARKER]).filter(|text| !text.is_empty()).collect();
    let tells =
        |bytes: &[u8]| secret.iter().any(|text| bytes.windows(text.len()).any(|w| w == text.as_bytes()));

    let before = seen(&channel, &owner, &ids).await;
    for (path, answers) in &before {
        assert!(
            answers.iter().any(|answer| tells(answer)),
            "{path} finds the owner's data, so it could leak them"
        );
    }
    let strangers = strangers(&ids);
    let mut compared = 0;
    let boss = server.key(&stranger.application, Role::Operator).await;
    let boss = Tenant { client: server.admin.with_key(&boss).expect("a client"), ..stranger.clone() };
    for role in [Role::Reader, Role::Importer, Role::Operator] {
        let key = server.key(&stranger.application, role).await;
        for method in methods() {
            let path = path_of(&method);
            if ["Erase", "Delete"].iter().any(|verb| method.name().starts_with(verb)) {
                cancel_all(&boss).await;
            }
            for request in requests(&method, &ids) {
                let answer = call(&channel, &key, &path, request.clone()).await;
                let input = DynamicMessage::decode(method.input(), request.as_slice()).expect("a request");
                let text = String::from_utf8_lossy(&answer.bytes).into_owned();
                assert!(!tells(&answer.bytes), "{path} as {role:?} tells {text}, asked {input:?}");
                assert!(
                    matches!(
                        answer.code,
                        Code::Ok | Code::NotFound | Code::PermissionDenied | Code::InvalidArgument
                    ),
                    "{path} as {role:?}: {:?} {text}, asked {input:?}",
                    answer.code
                );
                if role != Role::Operator {
                    continue;
                }
                let is_denied = answer.code == Code::PermissionDenied;
                assert_eq!(is_denied, is_for_administrators(&method), "{path}: {text}, asked {input:?}");
                let about_nobody = about_nobody(&request, &strangers);
                if about_nobody != request {
                    let other = call(&channel, &key, &path, about_nobody).await;
                    let known = (answer.code, answer.reason.as_str());
                    assert_eq!(
                        known,
                        (other.code, other.reason.as_str()),
                        "{path}: {text} differs from {}, asked {input:?}",
                        String::from_utf8_lossy(&other.bytes)
                    );
                    compared += usize::from(answer.code == Code::NotFound);
                }
            }
        }
    }
    assert!(compared > 50, "{compared} requests were about ids that exist and were not found");
    assert_eq!(seen(&channel, &owner, &ids).await, before, "nothing of the owner's has changed");
}

/// Messages as bytes.
#[derive(Clone, Copy)]
struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl tonic::codec::Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}
