# Runs in Odoo's shell, through Odoo's own models: the first administrator gets the generated password, and the login page
# offers the Stack's realm.
import os

env.ref("base.user_admin").write({"login": os.environ["ADMINISTRATOR"], "password": os.environ["ADMINISTRATOR_PASSWORD"]})
env["auth.oauth.provider"].create(
    {
        "name": "Stack",
        "client_id": os.environ["OIDC_CLIENT_ID"],
        "auth_endpoint": os.environ["OIDC_ISSUER"] + "/protocol/openid-connect/auth",
        "validation_endpoint": os.environ["OIDC_USERINFO_URL"],
        "scope": "openid profile email",
        "body": "Staff login",
        "enabled": True,
    }
)
env["ir.config_parameter"].set_param("web.base.url", os.environ["PUBLIC_URL"])
env["ir.config_parameter"].set_param("web.base.url.freeze", "True")
env["ir.config_parameter"].set_param("plinth.bootstrap", "done")
env.cr.commit()
