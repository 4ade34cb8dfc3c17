import os

# Attachments belong into the database: the worker does not see the web server's files.
env["ir.config_parameter"].sudo().set_param("ir_attachment.location", "db")
env["ir.attachment"].force_storage()

admin = env.ref("base.user_admin")
admin.write({"login": os.environ["ADMIN_LOGIN"], "password": os.environ["ADMIN_PASSWORD"]})
env.cr.commit()
