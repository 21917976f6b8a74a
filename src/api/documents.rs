//! The two API descriptions, made from the handlers: a route that is served is described, and the other way round.

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, iceberg, management};

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build());
        document.components.get_or_insert_default().add_security_scheme("bearer", scheme);
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "nunatak: Iceberg REST catalog", description = "The Apache Iceberg REST catalog API, as nunatak serves it."),
    servers((url = CATALOG)),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct CatalogDocument;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "nunatak: management", description = "Warehouses, principals and keys."),
    security(("bearer" = [])),
    modifiers(&Bearer)
)]
struct ManagementDocument;

/// Where the Iceberg REST API is: the `servers` of its description, the beginning of its routes' paths. The routes have it in full,
/// because a nested router would take it off each request again.
const CATALOG: &str = "/catalog";

/// The routes of the Iceberg REST API, and their description.
pub(super) fn catalog_parts() -> (Router<Api>, OpenApi) {
    let (routes, mut document) = OpenApiRouter::with_openapi(CatalogDocument::openapi())
        .routes(routes!(iceberg::config::get_config))
        .routes(routes!(iceberg::oauth::get_token))
        .routes(routes!(iceberg::namespaces::list_namespaces, iceberg::namespaces::create_namespace))
        .routes(routes!(
            iceberg::namespaces::load_namespace,
            iceberg::namespaces::namespace_exists,
            iceberg::namespaces::drop_namespace
        ))
        .routes(routes!(iceberg::namespaces::update_properties))
        .routes(routes!(iceberg::tables::list_tables, iceberg::tables::create_table))
        .routes(routes!(
            iceberg::tables::load_table,
            iceberg::tables::table_exists,
            iceberg::tables::drop_table,
            iceberg::commits::commit_table
        ))
        .routes(routes!(iceberg::tables::register_table))
        .routes(routes!(iceberg::tables::rename_table))
        .routes(routes!(iceberg::tables::report_metrics))
        .routes(routes!(iceberg::commits::commit_transaction))
        .routes(routes!(iceberg::views::list_views, iceberg::views::create_view))
        .routes(routes!(
            iceberg::views::load_view,
            iceberg::views::view_exists,
            iceberg::views::drop_view,
            iceberg::views::replace_view
        ))
        .routes(routes!(iceberg::views::rename_view))
        .split_for_parts();
    let paths = std::mem::take(&mut document.paths.paths).into_iter();
    document.paths.paths =
        paths.map(|(path, item)| (path.strip_prefix(CATALOG).map(ToOwned::to_owned).unwrap_or(path), item)).collect();
    (routes, document)
}

/// The routes of the management API, and their description.
pub(super) fn management_parts() -> (Router<Api>, OpenApi) {
    OpenApiRouter::with_openapi(ManagementDocument::openapi())
        .routes(routes!(management::warehouses::list_warehouses, management::warehouses::create_warehouse))
        .routes(routes!(
            management::warehouses::get_warehouse,
            management::warehouses::update_warehouse,
            management::warehouses::delete_warehouse
        ))
        .routes(routes!(management::principals::list_principals, management::principals::create_principal))
        .routes(routes!(management::principals::get_principal))
        .routes(routes!(management::principals::rotate_secret))
        .routes(routes!(management::principals::disable_principal))
        .routes(routes!(management::principals::enable_principal))
        .routes(routes!(management::server::rotate_signing_key))
        .routes(routes!(management::server::get_version))
        .split_for_parts()
}

/// The description of the Iceberg REST API.
#[must_use]
pub fn catalog_document() -> OpenApi {
    catalog_parts().1
}

/// The description of the management API.
#[must_use]
pub fn management_document() -> OpenApi {
    management_parts().1
}
